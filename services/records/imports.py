"""Imports of records from registers: validates rows, finds their owners, creates or updates the records."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from contracts.identity import DOCUMENT_TITLES, DOCUMENT_WORDS
from contracts.records import Source
from kit.core.clock import Clock, rfc3339, shanghai_date
from kit.core.ids import derived_id
from kit.core.text import REQUIRED, day_as_written
from kit.imports.model import Column, Import, Outcome, RowError, Values, row_errors, write_decided
from services.records.code_tables import codes
from services.records.domain import Data, FieldDescription, Kind, Record, parse_data
from services.records.kinds import KINDS
from services.records.people import Found, IdentityDocument, People
from services.records.settings import SourceGrant
from services.records.store import Records

SEPARATORS = re.compile(r"[、,，;；]")
MAX_LENGTHS = {"document_number": 64, "source": 100, "source_key": 100}
COUNTRY = re.compile(r"[A-Z]{1,3}")
COLUMNS = (
    Column("document_type", "证件类型", True, "、".join(DOCUMENT_TITLES.values())),
    Column("document_number", "证件号码", True, "整列设为文本格式，避免末尾数字丢失"),
    Column("source", "来源", True, "提供数据的系统名称，每次导入保持一致"),
    Column("source_key", "来源编号", True, "该系统中此条记录的唯一编号，每次导入保持一致"),
    Column("nationality", "护照签发国", False, "多本外国护照号码相同时填写三位字母代码，如 USA"),
)
COMMON_NAMES = {column.name for column in COLUMNS}
OWNER_ERRORS = {
    "not_found": "没有该证件的从业人员，请核对证件类型和证件号码，或先办理人员登记",
    "document_ambiguous": "有多本护照使用该号码，请填写护照签发国",
}
CLIENT = "client:"
NOT_GRANTED = RowError("source", "source_not_granted", "贵系统无权以该来源导入此类信息，请核对来源名称或联系管理员")
OTHER_CLIENT = RowError("source_key", "other_client", "该来源编号的记录由另一个业务系统维护，请核对来源和来源编号")
HINTS = {"date": "如 2014-03-01", "terms": "多项用顿号分隔"}


@dataclass(frozen=True)
class RecordRow:
    """A valid row: the owner's identity document, the source system, its key for the row, the record's data."""

    document: IdentityDocument
    system: str
    key: str
    data: Data


class RecordImport:
    """Imports rows of one kind; a record's id is derived from its source system and its key there."""

    def __init__(
        self, kind: Kind, records: Records, people: People, clock: Clock, sources: Mapping[str, SourceGrant]
    ) -> None:
        self._kind = kind
        self._records = records
        self._people = people
        self._clock = clock
        self._sources = sources
        self._fields = {field.name: field for field in kind.fields()}
        self._labels = {
            field.name: {code.label: code.code for code in codes(field.code_table)}
            for field in self._fields.values()
            if field.code_table
        }
        self.columns = columns_of(kind)

    def key(self, values: Values) -> str | None:
        """The source system and its key for the row; None without a key."""
        key = values.get("source_key")
        return f"{values.get('source')}\x1f{key}" if key else None

    async def write(self, job: Import, rows: Sequence[Values]) -> list[Outcome]:
        """Write the rows and return their outcomes, in order. Raises `Conflict`, `Unavailable`."""
        parsed = [self._parse(values) for values in rows]
        valid = [row for row in parsed if isinstance(row, RecordRow)]
        owners = await self._people.find([row.document for row in valid])
        existing = await self._records.by_id([self._id(row) for row in valid])
        decided = [
            self._decide(job, row, owner, existing.get(self._id(row))) for row, owner in zip(valid, owners, strict=True)
        ]
        written = iter(await write_decided(self._records.write_many, decided))
        return [next(written) if isinstance(row, RecordRow) else row for row in parsed]

    def _id(self, row: RecordRow) -> str:
        return derived_id("source", self._kind.name, row.system, row.key)

    def _parse(self, values: Values) -> RecordRow | tuple[RowError, ...]:
        errors = _common_errors(values)
        raw = {name: self._value(self._fields[name], text) for name, text in values.items() if name not in COMMON_NAMES}
        try:
            data = parse_data(self._kind, raw, shanghai_date(self._clock.now()))
        except ValidationError as error:
            return *errors, *row_errors(error)
        if errors:
            return tuple(errors)
        country = values.get("nationality", "").upper() or None
        document = IdentityDocument(DOCUMENT_WORDS[values["document_type"]], values["document_number"], country)
        return RecordRow(document, values["source"], values["source_key"], data.model_dump(mode="json"))

    def _value(self, field: FieldDescription, text: str) -> object:
        """The value in the format of the API."""
        if field.type == "terms":
            return [part.strip() for part in SEPARATORS.split(text) if part.strip()]
        if field.type == "date":
            return day_as_written(text)
        return self._labels.get(field.name, {}).get(text, text)

    def _decide(
        self, job: Import, row: RecordRow, owner: Found, existing: Record | None
    ) -> tuple[Outcome, Record | None]:
        """The outcome of a row, and the version to write, if any."""
        if owner.practitioner_id is None:
            code = owner.code or "not_found"
            return (RowError("document_number", code, OWNER_ERRORS[code]),), None
        # a record never changes its owner: the events of a person are in one partition
        if existing and existing.practitioner_id != owner.practitioner_id:
            message = "该来源编号的记录属于另一名人员，请核对来源编号和证件号码"
            return (RowError("source_key", "other_person", message),), None
        if error := self._permission_error(job.started_by, row.system, existing):
            return (error,), None
        if existing and existing.state == "active" and existing.data == row.data:
            return job.outcome_of(existing), None
        at = self._clock.now()
        source = Source(system=row.system, key=row.key, synced_at=rfc3339(at))
        kept_by = job.started_by if job.started_by.startswith(CLIENT) else existing.kept_by if existing else None
        if existing:
            return "updated", existing.synced(row.data, source, kept_by, at=at, by=job.by)
        return "created", Record.imported(
            self._id(row), owner.practitioner_id, self._kind.name, row.data, source, kept_by, at=at, by=job.by
        )

    def _permission_error(self, sender: str, system: str, existing: Record | None) -> RowError | None:
        """Why an API client may not write this row; None if it may, and for staff."""
        if not sender.startswith(CLIENT):
            return None
        client, grant = sender.removeprefix(CLIENT), self._sources.get(system)
        if grant is None and any(client in each.clients for each in self._sources.values()):
            return NOT_GRANTED
        if grant is not None:
            granted = client in grant.clients and (not grant.kinds or self._kind.name in grant.kinds)
            return None if granted else NOT_GRANTED
        return OTHER_CLIENT if existing and existing.kept_by not in (None, sender) else None


def _common_errors(values: Values) -> list[RowError]:
    """The errors in the columns that all kinds have."""
    errors = [
        RowError(column.name, "required", REQUIRED)
        for column in COLUMNS
        if column.required and column.name not in values
    ]
    if values.get("document_type", "身份证") not in DOCUMENT_WORDS:
        errors.append(
            RowError("document_type", "not_a_choice", f"请填写以下一种：{'、'.join(DOCUMENT_TITLES.values())}")
        )
    for name, max_length in MAX_LENGTHS.items():
        if len(values.get(name, "")) > max_length or not values.get(name, "").isprintable():
            errors.append(RowError(name, "too_long", f"最多{max_length}个字，且不能含有特殊字符"))
    if "nationality" in values and not COUNTRY.fullmatch(values["nationality"].upper()):
        errors.append(RowError("nationality", "country_code", "请填写护照签发国的三位字母代码，如 USA"))
    return errors


def columns_of(kind: Kind) -> tuple[Column, ...]:
    """The columns of a kind's import files: the common ones, then those of the kind."""
    return *COLUMNS, *(Column(field.name, field.title, field.required, _hint(field)) for field in kind.fields())


def _hint(field: FieldDescription) -> str:
    if field.code_table:
        return "、".join(code.label for code in codes(field.code_table) if code.offered)
    return HINTS.get(field.type, f"最多{field.max_length}个字" if field.max_length else "")


COLUMNS_BY_KIND: Mapping[str, Sequence[Column]] = {
    name: columns_of(kind) for name, kind in KINDS.items() if kind.maintained_by == "source"
}
