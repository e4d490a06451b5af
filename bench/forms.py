"""Row: printing a signature sheet, beside typst alone with the same template and fonts."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from statistics import median

import typst

from bench.stack import Stack
from bench.table import Row
from kit.core.ids import new_id
from kit.formats.pdf import STANDARD, FontSettings
from services.signature.sheets.printing import TEMPLATE, Printing

ROUNDS = 7
EACH = 40
DEARER = 1.3
FONTS, KEY = FontSettings(), bytes(range(32))
NAME = "阿卜杜拉·买买提𠮷野"


async def rows(_: Stack) -> list[Row]:
    """Measure both by turns, in one process; every sheet differs, because typst caches its results."""
    printing = Printing(FONTS, KEY)
    alone = _compiler()
    now = datetime.now(UTC)
    ours = list[float]()
    bare = list[float]()
    for _turn in range(ROUNDS + 1):
        given = [_inputs(printing.page(new_id(), NAME, new_id(), now, now)) for _ in range(EACH)]
        used = time.process_time()
        for each in given:
            alone.compile(format="pdf", sys_inputs=each, pdf_standards=STANDARD, timestamp=int(now.timestamp()))
        bare.append(_ms_each(used))
        used = time.process_time()
        for _form in range(EACH):
            await printing.pdf(new_id(), NAME, new_id(), now, now)
        ours.append(_ms_each(used))
    return [_row(median(ours[1:]), median(bare[1:]))]  # the first round loads the fonts


def _compiler() -> typst.Compiler:
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=list(FONTS.folders))
    return typst.Compiler(TEMPLATE, root=TEMPLATE.parent, font_paths=fonts)


def _inputs(page: Mapping[str, object]) -> dict[str, str]:
    return {"data": json.dumps({**page, "fonts": list(FONTS.families)}, ensure_ascii=False)}


def _ms_each(since: float) -> float:
    return (time.process_time() - since) / EACH * 1000


def _row(ours: float, bare: float) -> Row:
    texts = f"{ours:.1f} ms", f"{bare:.1f} ms", f"≤ {DEARER} ×", f"{ours / bare:.2f} ×"
    name = "a printed form, CPU (typst alone beside it)"
    return Row(name, *texts, ours / bare <= DEARER, {"ours": ours, "bare": bare})
