"""Printed pages: a typst template filled with data, as PDF. The only importer of typst, fontTools and segno.

typst takes 7 MB of a process, its fonts and compiler 6 MB more: it is imported when the first page is printed.

The template gets data as JSON, never as markup. Glyphs come from the named families only, so `missing` finds exactly
the characters that would print as a box.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, JsonValue

from kit.sandbox.pool import Limits, Sandbox

if TYPE_CHECKING:
    import typst

STANDARD: Literal["a-2b"] = "a-2b"  # for archives: fonts embedded, nothing from outside
CODE_POINTS = 0x110000
SANDBOX_LIMITS = Limits(cpu_seconds=20, memory_bytes=1024**3, seconds=30)
"""Of one document; two thousand records take a second and 200 MB."""


class FontSettings(BaseModel):
    """Folders with fonts, and the families in order: a glyph is taken from the first family that has it.

    The default families together have every character of GB 18030 (Debian: fonts-noto-cjk fonts-babelstone-han
    fonts-hanazono).
    """

    folders: tuple[str, ...] = ("/usr/share/fonts",)
    families: tuple[str, ...] = ("Noto Serif CJK SC", "BabelStone Han", "HanaMinA", "HanaMinB")


@dataclass(frozen=True)
class Fonts:
    """`absent`: families that are not installed; `covered`: a bit for each code point with a glyph in the others."""

    absent: list[str]
    covered: bytes


class Printer:
    """Prints one template, one page at a time: it takes some milliseconds, because typst caches layouts."""

    def __init__(self, template: Path, settings: FontSettings) -> None:
        self._template, self._settings = template, settings
        self._compiler: typst.Compiler | None = None
        self._thread = ThreadPoolExecutor(1, "typst")
        self._one_subprocess = asyncio.Lock()
        self._search: asyncio.Task[Fonts] | None = None

    async def pdf(self, data: Mapping[str, JsonValue], at: datetime) -> bytes:
        """The page as PDF/A; the same data and time give the same bytes. `data.fonts` is added: the families."""
        inputs, seconds = self._inputs(data), int(at.timestamp())
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._compile, inputs, seconds)

    def _compile(self, inputs: dict[str, str], at: int) -> bytes:
        if self._compiler is None:
            self._compiler = _compiler(self._template, self._settings)
        return _compiled(self._compiler, inputs, at)

    async def pdf_in_subprocess(self, data: Mapping[str, JsonValue], at: datetime) -> bytes:
        """The same in a process that ends, for pages that are printed rarely. Raises `TooCostly`, `Unavailable`.

        It takes 0.4 s more, and frees the 65 MB that typst keeps for the next page.
        """
        readable = (str(self._template.parent), *self._settings.folders)
        async with self._one_subprocess, Sandbox(1, SANDBOX_LIMITS, readable=readable) as sandbox:
            return await sandbox.run(_printed, self._template, self._settings, self._inputs(data), int(at.timestamp()))

    def _inputs(self, data: Mapping[str, JsonValue]) -> dict[str, str]:
        return {"data": json.dumps({**data, "fonts": list(self._settings.families)}, ensure_ascii=False)}

    async def ready(self) -> None:
        """A readiness check: every family is installed. Raises RuntimeError with the names of those that are not."""
        if absent := (await self._found()).absent:
            raise RuntimeError(f"fonts are not installed: {', '.join(sorted(absent))}")

    async def missing(self, text: str) -> str:
        """The characters of `text` without a glyph in any family."""
        covered = (await self._found()).covered
        return "".join(dict.fromkeys(each for each in text if not covered[ord(each) // 8] >> ord(each) % 8 & 1))

    async def _found(self) -> Fonts:
        """The fonts. A readiness check that times out does not cancel the search; the next one gets its result."""
        if self._search is None or (self._search.done() and not _is_complete(self._search)):
            self._search = asyncio.create_task(self._look_up())
        return await asyncio.shield(self._search)

    async def _look_up(self) -> Fonts:
        """In a process that ends, because the 90 MB that this takes would stay in this process."""
        async with Sandbox(1, SANDBOX_LIMITS, readable=self._settings.folders) as sandbox:
            return await sandbox.run(_find_fonts, self._settings)


def _is_complete(search: "asyncio.Task[Fonts]") -> bool:
    return not search.cancelled() and search.exception() is None and not search.result().absent


def _fonts(settings: FontSettings) -> "typst.Fonts":
    import typst

    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=list(settings.folders))


def _compiler(template: Path, settings: FontSettings) -> "typst.Compiler":
    import typst

    return typst.Compiler(template, root=template.parent, font_paths=_fonts(settings))


def _compiled(compiler: "typst.Compiler", inputs: dict[str, str], at: int) -> bytes:
    made = compiler.compile(format="pdf", sys_inputs=inputs, pdf_standards=STANDARD, timestamp=at)
    assert isinstance(made, bytes)  # noqa: S101  # for the type checker: one document, not a list of pages
    return made


def _printed(template: Path, settings: FontSettings, inputs: dict[str, str], at: int) -> bytes:
    return _compiled(_compiler(template, settings), inputs, at)


def qr_code(text: str) -> str:
    """A QR code as SVG, with its quiet zone and error correction of 15 % (level M).

    The mask is fixed: searching the best of eight costs 2 ms, and matters only for repetitive texts.
    """
    import segno

    code: str = segno.make_qr(text, error="m", mask=0).svg_inline(border=4)
    return code


def _find_fonts(settings: FontSettings) -> Fonts:
    installed = _fonts(settings)
    regular = [font for font in installed.fonts() if font.family in settings.families and font.weight == 400]
    covered = _covered((str(font.path), font.index) for font in regular)
    return Fonts(sorted(set(settings.families) - set(installed.families())), covered)


def _covered(files: Iterable[tuple[str, int]]) -> bytes:
    from fontTools.ttLib import TTFont

    bits = bytearray(CODE_POINTS // 8)
    for path, index in files:
        points: Iterable[int] = TTFont(path, fontNumber=index, lazy=True).getBestCmap()
        for point in points:
            bits[point // 8] |= 1 << point % 8
    return bytes(bits)
