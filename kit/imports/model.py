"""Imports: a file of rows becomes documents, batch by batch. The document of an import, and its files.

The rows are personal data: they are stored encrypted in the bucket, and removed once they are processed. The errors of
a row name line and column, with a sentence; they never repeat its values.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Literal, NamedTuple, Protocol, Self, TypeVar

from pydantic import ValidationError

from kit.core.audit import Audited
from kit.core.documents import Document
from kit.core.errors import AppError, InvalidFields, NotFound, field_errors
from kit.core.ids import new_id
from kit.files.blobs import Bucket
from kit.files.documents import FileDocument
from kit.formats import tabular
from kit.formats.tabular import BadTable
from kit.mongo import DOCUMENT_FULL, Collection, Conflict, Database, Index
from kit.security.encryption import Cipher

D = TypeVar("D", bound=Document)
COLLECTION = FOLDERS = "imports"
AUDITED_IMPORT = Audited(
    "import", ["kind", "state", "rows_total", "rows_created", "rows_updated", "rows_failed"],
    actions=["started", "finished", "failed"],
)  # fmt: skip
"""Its start and its end are entries of the audit trail."""
LEASE = timedelta(seconds=30)
LIVE = ("waiting", "running")
State = Literal["waiting", "running", "finished", "failed"]
Done = Literal["created", "updated", "unchanged"]
Titles = list[str | None]
"""The name of each column of a file; None where it has no title."""
Values = Mapping[str, str]
"""A row by column names, without blank cells."""


class RowError(NamedTuple):
    """What is wrong with one cell of a row: the column's name, a stable code, a Chinese sentence."""

    column: str
    code: str
    message: str


Outcome = Done | tuple[RowError, ...]


def category(outcome: Outcome) -> Done | Literal["failed"]:
    """The outcome of a row, in one word."""
    return "failed" if isinstance(outcome, tuple) else outcome


def row_errors(error: ValidationError) -> tuple[RowError, ...]:
    """The validation errors of a row, by columns; its values are not repeated."""
    found = field_errors(error.errors(include_url=False))
    return tuple(RowError(each.field.partition(".")[0], each.code, each.message) for each in found)


@dataclass(frozen=True)
class Column:
    """One column of a file: its heading is `title`, or `name` from programs; `hint` is shown in the template."""

    name: str
    title: str
    required: bool = False
    hint: str = ""


class Import(FileDocument):
    """An uploaded file and its progress; `original` holds its rows, and is emptied when they are processed.

    `runner` works on it until `lease_until`; after that another one may claim it.
    """

    COUNTS: ClassVar[tuple[str, ...]] = ("rows_done", "rows_created", "rows_updated", "rows_unchanged", "rows_failed")
    UNTRACKED: ClassVar[frozenset[str]] = FileDocument.UNTRACKED | {*COUNTS, "runner", "lease_until"}
    ROOT: ClassVar[str] = FOLDERS

    kind: str
    started_by: str
    columns: Titles
    state: State = "waiting"
    rows_total: int
    rows_done: int = 0
    rows_created: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    rows_failed: int = 0
    runner: str | None = None
    lease_until: datetime | None = None

    @classmethod
    def started(cls, kind: str, columns: Titles, rows_total: int, *, at: datetime, by: str) -> Self:
        """The import of an uploaded file; its rows are stored in the new folder."""
        return cls.first(
            at=at, by=by, action="started", id=new_id(), kind=kind, started_by=by, columns=columns,
            folder=cls.new_folder(), rows_total=rows_total,
        )  # fmt: skip

    def claimed(self, runner: str, *, at: datetime) -> Self:
        """Claimed by this runner for the time of the lease."""
        own = {"state": "running", "runner": runner, "lease_until": at + LEASE}
        return self.next_version(own, at=at, by=f"worker:{runner}", action="claimed")

    def advanced(self, outcomes: Sequence[Outcome], *, at: datetime, by: str) -> Self:
        """One more batch is done; the lease is extended."""
        counts: dict[str, int] = {name: getattr(self, name) for name in self.COUNTS}
        counts["rows_done"] += len(outcomes)
        for outcome in outcomes:
            counts[f"rows_{category(outcome)}"] += 1
        return self.next_version({**counts, "lease_until": at + LEASE}, at=at, by=by, action="advanced")

    def ended(self, state: Literal["finished", "failed"], *, at: datetime, by: str) -> Self:
        """The import has ended, complete or not, and has no runner."""
        changes = {"state": state, "runner": None, "lease_until": None}
        return self.next_version(changes, at=at, by=by, action=state)

    @property
    def by(self) -> str:
        """The author in the histories of documents that this import writes; its sender is `started_by`."""
        return f"import:{self.id}"

    def outcome_of(self, known: Document) -> Done:
        """The outcome of a row that is stored already: this import may have written it before an interruption."""
        if known.history[-1].by != self.by:
            return "unchanged"
        return "created" if known.version == 1 else "updated"

    def named(self, cells: Sequence[str]) -> dict[str, str]:
        """A row's cells by column names."""
        return {name: cell for name, cell in zip(self.columns, cells, strict=False) if name and cell}


class Target(Protocol):
    """Writes the rows of one kind as documents."""

    @property
    def columns(self) -> Sequence[Column]:
        """The columns of its files."""
        ...

    def key(self, values: Values) -> str | None:
        """The value that must be unique in a file; None if the row has none."""
        ...

    async def write(self, job: Import, rows: Sequence[Values]) -> list[Outcome]:
        """Write rows, idempotently; one outcome each. Raises `Conflict` (try again), `Unavailable`."""
        ...


FULL = (RowError("", "document_full", DOCUMENT_FULL),)


async def write_decided(
    write: Callable[[Sequence[D]], Awaitable[set[str]]], decided: Sequence[tuple[Outcome, D | None]]
) -> list[Outcome]:
    """Write (`Collection.write_many`) the documents decided for a batch of rows; the outcomes. Raises `Conflict`."""
    full = await write([document for _, document in decided if document])
    return [FULL if document and document.id in full else outcome for outcome, document in decided]


class Imports:
    """The collection of imports."""

    def __init__(self, database: Database) -> None:
        indexes = [Index([("state", 1), ("created_at", 1)]), Index([("folder", 1)])]
        self._collection = Collection(database, COLLECTION, Import, indexes)
        self.prepare = self._collection.prepare
        self.get = self._collection.get
        self.insert = self._collection.insert
        self.replace = self._collection.replace

    async def claim(self, runner: str, now: datetime) -> Import | None:
        """Claim the oldest import that has no runner, or that this runner had when it was interrupted."""
        free = {"$or": [{"lease_until": None}, {"lease_until": {"$lt": now}}, {"runner": runner}]}
        found = await self._collection.find({"state": {"$in": LIVE}, **free}, sort=[("created_at", 1)], limit=1)
        job = await self.get(found[0].id) if found else None
        if job is None or job.state not in LIVE:
            return None
        claimed = job.claimed(runner, at=now)
        try:
            await self.replace(claimed)
        except Conflict:  # another runner claimed it first
            return None
        return claimed

    async def with_folder_prefix(self, beginning: str, limit: int) -> list[Import]:
        """The imports whose folder begins with a prefix: for the sweeper."""
        return await self._collection.find({"folder": {"$regex": f"^{beginning}"}}, sort=[("folder", 1)], limit=limit)


class ImportFiles:
    """The rows of an import, and their errors."""

    def __init__(self, bucket: Bucket, cipher: Cipher) -> None:
        self._bucket, self._cipher = bucket, cipher

    async def keep(self, folder: str, rows: bytes) -> None:
        """Store the rows; empty once they are processed."""
        sealed = self._cipher.encrypt_bytes(rows, folder)
        await self._bucket.put(f"{folder}/original", sealed, "application/octet-stream")

    async def rows(self, job: Import) -> bytes:
        """The rows. Raises `NotFound`, `ChecksumMismatch`, `DecryptionError`."""
        return self._cipher.decrypt_bytes(await self._bucket.named(job.original), job.folder)

    async def note(self, job: Import, errors: Sequence[Sequence[str]]) -> None:
        """Store the errors of the batch after `rows_done`; the same batch again replaces them."""
        text = tabular.write_csv(errors).encode()
        await self._bucket.put(f"{_errors(job)}{job.rows_done:09}", text, "text/csv")

    async def errors(self, job: Import) -> AsyncIterator[bytes]:
        """The parts of a CSV file with all errors, in order of the lines."""
        yield tabular.template_csv(["行号", "列", "代码", "说明"])
        for key in await self._bucket.keys(_errors(job)):
            yield await self._bucket.named(key)


def _errors(job: Import) -> str:
    """The prefix of the keys of its errors: in the folder itself, because the sweeper removes what is in others."""
    return f"{job.folder}/errors-"


def recognised(columns: Sequence[Column], header: Sequence[str]) -> Titles:
    """The names of a file's columns, from its titles. Raises 422 that lists every wrong and missing one."""
    by_title = {text: column.name for column in columns for text in (column.title, column.name)}
    titles = [title.strip(" *＊") for title in header]
    names = [by_title.get(title) for title in titles]
    if not any(names):  # no titles at all: the message would repeat data
        message = "没有找到列标题，请下载模板，第一行须与模板的列标题一致"
        raise InvalidFields.one("file", "no_header", message)
    wrong = [_place(place, title) for place, title in enumerate(titles) if title and by_title.get(title) is None]
    twice = [column.title for column in columns if names.count(column.name) > 1]
    missing = [column.title for column in columns if column.required and column.name not in names]
    found = {"缺少列：": missing, "以下列不在模板中，请删除或更正标题：": wrong, "以下列重复：": twice}
    if message := "；".join(words + "、".join(titles) for words, titles in found.items() if titles):
        raise InvalidFields.one("file", "wrong_columns", message)
    return names


def _place(place: int, title: str) -> str:
    """A column as a spreadsheet names it; with its title unless that may be personal data."""
    letter = column_letter(place)
    plain = len(title) <= 30 and not any(sign.isdigit() for sign in title) and title.isprintable()
    return f"{letter} 列（{title}）" if plain else f"{letter} 列"


def column_letter(place: int) -> str:
    """`A` for 0, `AA` for 26."""
    return (column_letter(place // 26 - 1) if place >= 26 else "") + chr(ord("A") + place % 26)


REFUSALS = {
    "empty": "文件中没有数据行，请在列标题下方填写后重新上传",
    "damaged": "文件无法读取，请另存为 XLSX 或 CSV 后重新上传",
    "encoding": "无法识别文件编码，请将 CSV 存为 UTF-8 或 GB18030 编码后重新上传",
    "not_xlsx": "不支持加密的或旧版（.xls）工作簿，请另存为不加密的 .xlsx 后重新上传",
    "too_many_rows": f"文件超过 {tabular.MAX_ROWS} 行，请拆分后分别上传",
    "too_many_columns": "第 {line} 行的列数过多，请按模板填写",
    "cell_too_long": "第 {line} 行有内容过长的单元格，请缩短后重新上传",
    "too_costly": "文件内容过大，无法处理，请删除多余的工作表、格式和空白区域，或另存为 CSV 后重新上传",
}


def refusal(bad: BadTable) -> AppError:
    """422 with a sentence for the sender of the file."""
    return InvalidFields.one("file", bad.code, REFUSALS[bad.code].format(line=bad.line))


def of_kind(columns: Mapping[str, Sequence[Column]], kind: str) -> Sequence[Column]:
    """The columns of a kind's files. Raises `NotFound`."""
    if kind not in columns:
        raise NotFound("kind_not_imported", "没有这种可以批量导入的内容")
    return columns[kind]
