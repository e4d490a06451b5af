"""Printed pages: a typst template filled with data, as PDF. The only importer of typst, fontTools and segno.

Data reach the template as JSON, they are never read as markup. Glyphs come from the named families only, so that
what `missing` finds is exactly what would print as a box.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Literal

import segno
import typst
from pydantic import BaseModel, JsonValue

from kit.sandbox import Limits, Sandbox

STANDARD: Literal["a-2b"] = "a-2b"  # for archives: fonts embedded, nothing from outside
CODE_POINTS = 0x110000
APART = Limits(cpu_seconds=20, memory_bytes=1024**3, seconds=30)
"""Of one document; two thousand records take a second and 200 MB."""


class FontSettings(BaseModel):
    """Where fonts are looked for, and the families in their order: a glyph is taken from the first that has it.

    The default ones together have every character of GB 18030 (Debian: fonts-noto-cjk fonts-babelstone-han
    fonts-hanazono).
    """

    folders: tuple[str, ...] = ("/usr/share/fonts",)
    families: tuple[str, ...] = ("Noto Serif CJK SC", "BabelStone Han", "HanaMinA", "HanaMinB")


class Printer:
    """Prints one template. One page at a time: it takes some milliseconds, and typst keeps what it set before."""

    def __init__(self, template: Path, settings: FontSettings) -> None:
        self._template, self._settings = template, settings
        self._fonts = _fonts(settings)
        self._compiler = typst.Compiler(template, root=template.parent, font_paths=self._fonts)
        self._thread = ThreadPoolExecutor(1, "typst")
        self._one_apart = asyncio.Lock()
        self._covered: bytes | None = None

    async def pdf(self, data: Mapping[str, JsonValue], at: datetime) -> bytes:
        """The page as PDF/A; the same data and time give the same bytes. `data.fonts` is added: the families."""
        inputs, seconds = self._inputs(data), int(at.timestamp())
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, _compiled, self._compiler, inputs, seconds
        )

    async def pdf_apart(self, data: Mapping[str, JsonValue], at: datetime) -> bytes:
        """The same in a process that ends: for what is printed now and then. Raises `TooCostly`, `Unavailable`.

        It takes 0.4 s more, and leaves nothing of the 65 MB that typst keeps for the next page.
        """
        readable = (str(self._template.parent), *self._settings.folders)
        async with self._one_apart, Sandbox(1, APART, readable=readable) as apart:
            return await apart.run(_printed, self._template, self._settings, self._inputs(data), int(at.timestamp()))

    def _inputs(self, data: Mapping[str, JsonValue]) -> dict[str, str]:
        return {"data": json.dumps({**data, "fonts": list(self._settings.families)}, ensure_ascii=False)}

    async def ready(self) -> None:
        """A readiness check: every family is installed. Raises RuntimeError with the names of those that are not."""
        missing = set(self._settings.families) - set(self._fonts.families())
        if missing:
            raise RuntimeError(f"fonts are not installed: {', '.join(sorted(missing))}")
        await self.missing("")

    async def missing(self, text: str) -> str:
        """The characters of `text` that no family has a glyph for."""
        if self._covered is None:
            async with Sandbox(
                1, Limits(), readable=self._settings.folders
            ) as apart:  # 90 MB for a second that would stay in this process
                self._covered = await apart.run(_covered, self._files())
        covered = self._covered
        return "".join(dict.fromkeys(each for each in text if not covered[ord(each) // 8] >> ord(each) % 8 & 1))

    def _files(self) -> list[tuple[str, int]]:
        regular = [
            font for font in self._fonts.fonts() if font.family in self._settings.families and font.weight == 400
        ]
        return [(str(font.path), font.index) for font in regular]


def _fonts(settings: FontSettings) -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=list(settings.folders))


def _compiled(compiler: typst.Compiler, inputs: dict[str, str], at: int) -> bytes:
    made = compiler.compile(format="pdf", sys_inputs=inputs, pdf_standards=STANDARD, timestamp=at)
    assert isinstance(made, bytes)  # noqa: S101  # for the type checker: one document, not a list of pages
    return made


def _printed(template: Path, settings: FontSettings, inputs: dict[str, str], at: int) -> bytes:
    return _compiled(typst.Compiler(template, root=template.parent, font_paths=_fonts(settings)), inputs, at)


def qr_code(text: str) -> str:
    """A QR code as SVG, with its quiet zone; a seventh of it may be spoilt.

    Its mask is any: to look for the best of eight costs 2 ms, and matters for texts that repeat themselves.
    """
    code: str = segno.make_qr(text, error="m", mask=0).svg_inline(border=4)
    return code


def _covered(files: Sequence[tuple[str, int]]) -> bytes:
    """One bit a code point: whether any of the fonts (path, index in its collection) has a glyph for it."""
    from fontTools.ttLib import TTFont

    bits = bytearray(CODE_POINTS // 8)
    for path, index in files:
        points: Iterable[int] = TTFont(path, fontNumber=index, lazy=True).getBestCmap()
        for point in points:
            bits[point // 8] |= 1 << point % 8
    return bytes(bits)
