"""Renders the pictures of the docs: an SVG for each docs/pictures/*.typ. `python -m deploy.pictures`.

An SVG contains a digest of its source, so that an outdated one is found without rendering.
"""

import hashlib
import sys
from pathlib import Path

import typst

FOLDER = Path(__file__).parent.parent / "docs/pictures"
LIBRARY = FOLDER / "diagram.typ"
FONT_FOLDER = "/usr/share/fonts"
FAMILIES = {"Noto Sans CJK SC", "DejaVu Sans Mono"}


def sources() -> list[Path]:
    """Return the pictures' sources, without the library that they share."""
    return sorted(set(FOLDER.glob("*.typ")) - {LIBRARY})


def digest(source: Path) -> str:
    """Return the digest of source and library."""
    return hashlib.sha256(LIBRARY.read_bytes() + source.read_bytes()).hexdigest()


def title(source: Path) -> str:
    """Return the picture's title, the first line of its source."""
    return source.read_text().partition("\n")[0].removeprefix("// ")


def outdated() -> list[str]:
    """Return the names of SVGs that are missing or were rendered from another source."""
    rendered = {source: source.with_suffix(".svg") for source in sources()}
    return [svg.name for source, svg in rendered.items() if not svg.exists() or digest(source) not in svg.read_text()]


def render(source: Path, fonts: typst.Fonts) -> str:
    """Render a picture as SVG, with its title for screen readers and the digest of its source."""
    svg = typst.Compiler(source, root=FOLDER, font_paths=fonts).compile(format="svg")
    assert isinstance(svg, bytes)  # noqa: S101  # for the type checker: one page
    start, end, rest = svg.decode().partition(">")
    return f'{start} role="img"{end}<title>{title(source)}</title><!-- {digest(source)} -->{rest}\n'


def main() -> None:
    """Render every picture; exits with a message when a font is missing, which typst would replace by another."""
    fonts = typst.Fonts(include_system_fonts=False, font_paths=[FONT_FOLDER])
    if missing := FAMILIES - set(fonts.families()):
        sys.exit(f"fonts are not installed: {', '.join(sorted(missing))}")
    for source in sources():
        source.with_suffix(".svg").write_text(render(source, fonts))


if __name__ == "__main__":
    main()
