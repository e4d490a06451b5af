"""Untrusted tables: CSV and XLSX become rows of text, in a sandbox. The only importer of calamine and openpyxl."""

import csv
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import Literal, NamedTuple
from zipfile import ZipFile

import orjson

from kit.sandbox.pool import Limits, Sandbox, TooCostly

MAX_ROWS = 100_000
MAX_COLUMNS = 60
MAX_CHARACTERS = 5_000
MAX_UNPACKED, MAX_MEMBERS = 256 * 1024 * 1024, 1_000
LIMITS = Limits(cpu_seconds=20, memory_bytes=1024 * 1024 * 1024, seconds=60)
ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
EXACT = 10**15
LOST_DIGITS = "\ufffc"
"""Replaces a number of more than 15 digits, of which the spreadsheet has lost the last ones."""
DELIMITERS = ",;\t"
FORMULA = ("=", "+", "-", "@", "\t", "\r")
BOM = "\ufeff"
# Characters that GB 18030-2022 maps to assigned code points, and Python's older codec to the private use area.
_OLD = "\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796\ue7c7"
_OLD += "\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864\ue816\ue817\ue818\ue831\ue83b\ue855"
_NEW = "\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18\ufe19\u1e3f"
_NEW += "\u9fb4\u9fb5\u9fb6\u9fb7\u9fb8\u9fb9\u9fba\u9fbb\U00020087\U00020089\U000200cc\U000215d7\U0002298f\U000241fe"
GB18030_2022 = str.maketrans(_OLD, _NEW)
Fault = Literal[
    "empty", "damaged", "encoding", "not_xlsx", "too_many_rows", "too_many_columns", "cell_too_long", "too_costly"
]


class BadTable(ValueError):
    """The file cannot be read; a retry does not help. `code`: the cause; `line`: 0 if it is not in one line."""

    def __init__(self, code: Fault, line: int = 0) -> None:
        super().__init__(code, line)
        self.code: Fault = code
        self.line = line


class Row(NamedTuple):
    """One row as text, without trailing blank cells; `line` counts from 1, as in a spreadsheet."""

    line: int
    cells: list[str]


@dataclass(frozen=True)
class Table:
    """What was read: the column titles, the number of rows, and the rows as `read_rows` takes them."""

    header: list[str]
    rows: int
    content: bytes


class Tables:
    """Reads an uploaded table, CSV or XLSX, row by row."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def read(self, content: bytes) -> Table:
        """The first sheet of an XLSX, or a CSV (UTF-8 or GB 18030). Raises `BadTable`, `Unavailable`."""
        try:
            return await self._sandbox.run(read, content)
        except TooCostly as error:
            raise BadTable("too_costly") from error


def read(content: bytes) -> Table:
    """Runs in the sandbox for `Tables.read`; every error is a `BadTable`."""
    try:
        return _table(_sheet(content) if content.startswith(ZIP) else _csv(content))
    except BadTable:
        raise
    except MemoryError:
        raise BadTable("too_costly") from None
    except Exception:  # calamine has no common error for damaged files
        raise BadTable("damaged") from None


def read_rows(content: bytes) -> Iterator[Row]:
    """The rows of a `Table`, one at a time."""
    for line in BytesIO(content):
        yield Row(*orjson.loads(line))


def _table(lines: Iterable[list[str]]) -> Table:
    header: list[str] = []
    rows: list[bytes] = []
    for line, cells in enumerate(lines, 1):
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            _check(line, cells, len(rows))
            if header:
                rows.append(orjson.dumps([line, cells]))
            header = header or cells
    if not rows:
        raise BadTable("empty")
    return Table(header, len(rows), b"\n".join(rows))


def _check(line: int, cells: Sequence[str], rows: int) -> None:
    if rows >= MAX_ROWS:
        raise BadTable("too_many_rows")
    if len(cells) > MAX_COLUMNS:
        raise BadTable("too_many_columns", line)
    if any(len(cell) > MAX_CHARACTERS for cell in cells):
        raise BadTable("cell_too_long", line)


def _sheet(content: bytes) -> Iterator[list[str]]:
    from python_calamine import CalamineWorkbook

    with ZipFile(BytesIO(content)) as packed:
        members = packed.infolist()
    if len(members) > MAX_MEMBERS or sum(each.file_size for each in members) > MAX_UNPACKED:
        raise BadTable("too_costly")
    sheet = CalamineWorkbook.from_filelike(BytesIO(content)).get_sheet_by_index(0)
    for cells in sheet.iter_rows():
        yield [_text(cell) for cell in cells]


def _text(cell: object) -> str:
    """The cell as a person would type it: a whole number without a point, a day as YYYY-MM-DD."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, bool):
        return "是" if cell else "否"
    if isinstance(cell, int | float):
        return _number(cell)
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat() if cell.time() == dt.time() else cell.isoformat(" ", "seconds")
    return cell.isoformat() if isinstance(cell, dt.date) else str(cell)


def _number(cell: float) -> str:
    if abs(cell) >= EXACT:
        return LOST_DIGITS
    return str(int(cell)) if cell == int(cell) else repr(cell)


def _csv(content: bytes) -> Iterator[list[str]]:
    if content.startswith(OLE):
        raise BadTable("not_xlsx")
    text = _decoded(content)
    first = text.lstrip().partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    for cells in csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True):
        yield [cell.strip() for cell in cells]


def _decoded(content: bytes) -> str:
    """Decode as UTF-8 if valid, else as GB 18030."""
    with suppress(UnicodeDecodeError):
        return content.decode("utf-8-sig")
    try:
        return content.decode("gb18030").translate(GB18030_2022)
    except UnicodeDecodeError:
        raise BadTable("encoding") from None


def write_csv(rows: Iterable[Sequence[str]]) -> str:
    """Rows as CSV; a cell that a spreadsheet would take for a formula is prefixed with an apostrophe."""
    written = StringIO()
    csv.writer(written).writerows([_harmless(cell) for cell in row] for row in rows)
    return written.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def template_csv(titles: Sequence[str]) -> bytes:
    """A file with column titles only, in UTF-8 with the byte order mark that spreadsheets need."""
    return (BOM + write_csv([titles])).encode()


def template_xlsx(titles: Sequence[str], notes: Iterable[Sequence[str]]) -> bytes:
    """The same as a workbook, with a second sheet of notes. Its cells are text: long numbers would lose digits."""
    from openpyxl import Workbook
    from openpyxl.utils import get_column_letter

    book = Workbook(write_only=True)
    sheet, explained = book.create_sheet("数据"), book.create_sheet("填写说明")
    for number, title in enumerate(titles, 1):
        column = sheet.column_dimensions[get_column_letter(number)]
        column.width, column.number_format = 2 * len(title) + 6, "@"
    sheet.append(list(titles))
    for note in notes:
        explained.append(list(note))
    made = BytesIO()
    book.save(made)
    return made.getvalue()
