"""Old office PCs: style sheets, modules and pages use nothing that Chromium 109 lacks (no stack needed)."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import services.portal

HERE = Path(services.portal.__file__).parent
STATIC, TEMPLATES = HERE / "static", HERE / "templates"
NEWER_SYNTAX = (r"\bawait using\b", r"\busing \w+ =", r"\bwith \{ *type", r"/v\b", r"^import defer", r"@\w+\s+class")


def _lists() -> dict[str, frozenset[str]]:
    text = (Path(__file__).parent / "chromium_109.txt").read_text()
    parts = re.split(r"^\[(.+)\]$", text, flags=re.MULTILINE)
    return {name: frozenset(words.split()) for name, words in zip(parts[1::2], parts[2::2], strict=True)}


LISTS = _lists()


def in_style(text: str) -> Iterator[str]:
    """Newer features in a style sheet: nested rules, properties, values, selectors and at-rules."""
    plain = re.sub(r"/\*.*?\*/|\"[^\"]*\"", "", text, flags=re.DOTALL)
    open_rules: list[str] = []
    for before, sign in re.findall(r"([^{}]*)([{}])", plain):
        prelude = before.rpartition(";")[2].strip()
        if sign == "{" and open_rules and not open_rules[-1].startswith("@"):
            yield f"nesting: {prelude}"
        open_rules = [*open_rules, prelude] if sign == "{" else open_rules[:-1]
    for name in re.findall(r"(?<=[{;])\s*([a-z-]+)\s*:(?!:)[^{}]*?(?=[;}])", plain):
        if not name.startswith("--") and name not in LISTS["properties"]:
            yield name
    yield from (f"@{name}" for name in re.findall(r"@([a-z-]+)", plain) if name not in LISTS["at-rules"])
    bare = re.sub(r"[.#][A-Za-z][\w-]*|--[\w-]+|\[[^\]]*\]", "", plain)
    yield from _newer(bare, r"[a-z][a-z-]+", "newer in style sheets")


def in_module(text: str) -> Iterator[str]:
    """Newer features in a module: globals, members, and some newer syntax."""
    plain = re.sub(r"^\s*//.*$|\bdataset\.\w+", "", text, flags=re.MULTILINE)
    yield from _newer(plain, r"(?<=\.)[a-z]\w+|\b[A-Z]\w+", "newer in modules")
    yield from (sign for sign in NEWER_SYNTAX if re.search(sign, plain, re.MULTILINE))


def in_page(text: str) -> Iterator[str]:
    """Newer features in a page: elements and attributes."""
    for tag in re.findall(r"<[a-z][^<>]*>", re.sub(r"\{[{%#].*?[}%#]\}", " ", text, flags=re.DOTALL)):
        yield from _newer(re.sub(r"=\"[^\"]*\"", " ", tag), r"[a-z][a-z-]+", "newer in pages")


def _newer(text: str, pattern: str, where: str) -> Iterator[str]:
    yield from sorted(set(re.findall(pattern, text)) & LISTS[where])


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.css")), ids=lambda path: path.name)
def test_a_style_sheet(path: Path) -> None:
    assert list(in_style(path.read_text())) == []


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_a_module(path: Path) -> None:
    assert list(in_module(path.read_text())) == []


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_a_page(path: Path) -> None:
    assert list(in_page(path.read_text())) == []


@pytest.mark.parametrize(
    "text",
    [
        "a { b { color: red; } }", "a { color: red; &:hover { color: blue; } }", "h1 { text-wrap: balance; }",
        "a { color: color-mix(in srgb, red, blue); }", "@scope (.card) { a { color: red; } }", "p { mask: none; }",
        "@starting-style { a { opacity: 0; } }", "a:popover-open { color: red; }", "a { color: light-dark(red, blue) }",
        "a { width: calc-size(auto, size); }", "a { a-property-nobody-knows: 1; }", "a { field-sizing: content; }",
    ],
)  # fmt: skip
def test_newer_style_is_found(text: str) -> None:
    assert list(in_style(text))


@pytest.mark.parametrize(
    "text",
    [
        "const all = await Array.fromAsync(list);", "const { promise } = Promise.withResolvers();", "a.isSubsetOf(b);",
        "[].toSorted();", "Object.groupBy(list, key);", "document.startViewTransition(go);", "menu.showPopover();",
        "text.isWellFormed();", 'import x from "./x.json" with { type: "json" };', "set.isDisjointFrom(other);",
        "URL.canParse(text);", "new Temporal.PlainDate(2026, 1, 1);",
    ],
)  # fmt: skip
def test_newer_script_is_found(text: str) -> None:
    assert list(in_module(text))


@pytest.mark.parametrize("text", ['<div popover id="x">', "<search><form></form></search>", '<button commandfor="x">'])
def test_newer_markup_is_found(text: str) -> None:
    assert list(in_page(text))
