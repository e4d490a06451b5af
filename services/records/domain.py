"""Records and their rules, without I/O: kinds, the validation of their data, the transitions of a record."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from math import inf
from typing import Annotated, Any, ClassVar, Literal, LiteralString, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, JsonValue, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from contracts.attachments import AttachmentChanged
from contracts.records import Attachment, Source, Value
from kit.core.documents import Document
from kit.core.text import CalendarDay, today_of

EARLIEST_DAY = date(1900, 1, 1)

FieldType = Literal["text", "name", "date", "term", "terms"]
MaintainedBy = Literal["practitioner", "source"]
Data = dict[str, Value]


class RecordData(BaseModel):
    """The base of every kind's data: immutable, no unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _blank_is_absent(cls, value: object, info: ValidationInfo) -> object:
        # A form sends an optional field that was left empty as "".
        field = cls.model_fields[info.field_name or ""]
        blank = isinstance(value, str) and not value.strip()
        return field.get_default(call_default_factory=True) if blank and not field.is_required() else value


def _plausible(value: date, info: ValidationInfo) -> date:
    if value < EARLIEST_DAY:
        raise PydanticCustomError("date_too_early", "日期不能早于 1900-01-01，请检查年份")
    if _age_in(value, info) < 0:
        raise PydanticCustomError("date_before_birth", "日期早于本人出生的年份，请检查年份")
    return value


def _age_in(value: date, info: ValidationInfo) -> float:
    """The age that the person reached in the year of `value`; infinite if the birth year is unknown."""
    birth_year: int | None = (info.context or {}).get("birth_year")
    return inf if birth_year is None else value.year - birth_year


def past(message: LiteralString) -> AfterValidator:
    """Require this day to be today or earlier."""

    def check(value: date, info: ValidationInfo) -> date:
        if value > today_of(info):
            raise PydanticCustomError("date_in_future", message)
        return value

    return AfterValidator(check)


def aged(years: int) -> AfterValidator:
    """Require that the person reached this age in the year of this day or before; only certain errors are refused."""

    def check(value: date, info: ValidationInfo) -> date:
        if _age_in(value, info) < years:
            raise PydanticCustomError("date_too_young", "当时未满{years}周岁，请检查年份", {"years": years})
        return value

    return AfterValidator(check)


Day = Annotated[CalendarDay, AfterValidator(_plausible)]
"""A calendar day, written YYYY-MM-DD, in a person's life: none is before the year of their birth."""

PastDay = Annotated[Day, past("日期不能晚于今天，请检查后重新填写")]
"""A day that is not in the future: of a start, an issue, an approval, a decision."""


def not_before(earlier: str, title: str) -> AfterValidator:
    """Require this day to be the day of field `earlier` (declared above it) or later."""
    return _ordered(earlier, title, operator.ge, "不能早于{title}，请检查这两个日期")


def after(earlier: str, title: str) -> AfterValidator:
    """Require this day to be later than the day of field `earlier` (declared above it)."""
    return _ordered(earlier, title, operator.gt, "必须晚于{title}，请检查这两个日期")


def _ordered(
    earlier: str, title: str, in_order: Callable[[date, date], bool], message: LiteralString
) -> AfterValidator:
    def check(value: date, info: ValidationInfo) -> date:
        # absent if it was left out, or is invalid itself, which is reported for its own field
        earlier_day = info.data.get(earlier)
        if earlier_day is not None and not in_order(value, earlier_day):
            raise PydanticCustomError("date_order", message, {"title": title})
        return value

    return AfterValidator(check)


@dataclass(frozen=True)
class FieldDescription:
    """The description of one field, for forms and API clients."""

    name: str
    title: str
    type: FieldType
    required: bool
    code_table: str | None
    max_length: int | None


@dataclass(frozen=True)
class Kind:
    """One kind of record: its name, the model of its data, who maintains it, whether it has a scan."""

    name: str
    data: type[RecordData]
    maintained_by: MaintainedBy
    attachment: bool

    @property
    def title(self) -> str:
        """The kind's name in the guide's menu; it is the title of the data's model."""
        return self.data.model_config["title"] or self.name

    def schema(self) -> dict[str, object]:
        """Return the JSON Schema of the kind's data."""
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **self.data.model_json_schema()}

    def fields(self) -> list[FieldDescription]:
        """Describe the fields in the order of the form, as the schema has them."""
        schema = self.data.model_json_schema()
        required = schema.get("required", [])
        return [_describe(name, prop, name in required) for name, prop in schema["properties"].items()]


def _describe(name: str, prop: dict[str, Any], required: bool) -> FieldDescription:
    value = _value_schema(prop)
    return FieldDescription(
        name=name,
        title=prop["title"],
        type=_field_type(prop, value),
        required=required,
        code_table=value.get("x-code-table"),
        max_length=value.get("maxLength"),
    )


def _value_schema(prop: dict[str, Any]) -> dict[str, Any]:
    """The schema of one value: of the list's items, or the alternative that is not null."""
    if "items" in prop:
        return dict(prop["items"])
    return next((each for each in prop.get("anyOf", []) if each.get("type") != "null"), prop)


def _field_type(prop: dict[str, Any], value: dict[str, Any]) -> FieldType:
    if "items" in prop:
        return "terms"
    if "x-code-table" in value:
        return "term"
    if value.get("format") == "date":
        return "date"
    return "name" if value.get("x-type") == "name" else "text"


def parse_data(kind: Kind, raw: Mapping[str, object], today: date, birth_year: int | None = None) -> RecordData:
    """Return the validated data of a record. Raises pydantic's ValidationError with all invalid fields.

    Rules are field validators, never model validators, because these run only if every field is valid. `birth_year`:
    of the person, None if unknown.
    """
    return kind.data.model_validate(raw, context={"today": today, "birth_year": birth_year})


class AttachmentPosition(BaseModel):
    """The newest version of the record's scan that was applied, also after the scan was deleted."""

    model_config = ConfigDict(frozen=True)

    attachment_id: str
    version: int
    at: datetime

    @classmethod
    def of(cls, event: AttachmentChanged) -> Self:
        """The position of an event."""
        return cls(attachment_id=event.attachment_id, version=event.version, at=event.at)

    def precedes(self, event: AttachmentChanged) -> bool:
        """Whether the event is newer: by version for the same attachment, by time for another one."""
        if event.attachment_id == self.attachment_id:
            return self.version < event.version
        return self.at < event.at


class Record(Document):
    """A record of one kind; `request` is the hash of the request that created it (idempotency).

    `kept_by`: the API client that imports it; None for records of other origin, and older ones.
    """

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {"followed", "kept_by"}

    practitioner_id: str
    kind: str
    state: Literal["active", "deleted"] = "active"
    data: Data
    attachment: Attachment | None = None
    source: Source | None = None
    followed: AttachmentPosition | None = None
    kept_by: str | None = None
    request: str

    @classmethod
    def entered(
        cls, record_id: str, practitioner_id: str, kind: str, data: Data, *, request: str, at: datetime, by: str
    ) -> Self:
        """A record that the person entered."""
        return cls.first(
            at=at, by=by, action="created", id=record_id, practitioner_id=practitioner_id, kind=kind, data=data,
            request=request,
        )  # fmt: skip

    @classmethod
    def imported(
        cls, record_id: str, practitioner_id: str, kind: str, data: Data, source: Source, kept_by: str | None, *,
        at: datetime, by: str,
    ) -> Self:  # fmt: skip
        """A record that was imported from a register; the import (`by`) takes the place of a request."""
        return cls.first(
            at=at, by=by, action="created", id=record_id, practitioner_id=practitioner_id, kind=kind, data=data,
            source=source, kept_by=kept_by, request=by,
        )  # fmt: skip

    def edited(self, data: Data, *, at: datetime, by: str) -> Self:
        """The person has changed the data."""
        return self.next_version({"data": data}, at=at, by=by, action="changed")

    def synced(self, data: Data, source: Source, kept_by: str | None, *, at: datetime, by: str) -> Self:
        """An import has changed the data, or has restored a deleted record."""
        changes = {"state": "active", "data": data, "source": source, "kept_by": kept_by}
        return self.next_version(changes, at=at, by=by, action="changed")

    def deleted(self, *, at: datetime, by: str) -> Self:
        """The person has deleted it."""
        return self.next_version({"state": "deleted"}, at=at, by=by, action="deleted")

    def outdated_by(self, event: AttachmentChanged) -> bool:
        """Whether the event is newer and makes a new version: not if only the owner has seen the verdict."""
        if self.followed and not self.followed.precedes(event):
            return False
        return not event.seen or event.state == "deleted" or _attachment(event) != self.attachment

    def scan_changed(self, event: AttachmentChanged, *, at: datetime, by: str) -> Self:
        """The scan has a new state."""
        changes = {"attachment": _attachment(event), "followed": AttachmentPosition.of(event)}
        return self.next_version(changes, at=at, by=by, action="changed")

    def facts(self) -> dict[str, JsonValue]:
        """The fields of the data, and state, attachment and source."""
        others = self.model_dump(mode="json", include={"state", "attachment", "source"})
        return {**self.data, **others}

    def as_created(self) -> "Record":
        """Version 1, rebuilt from the history: the answer to the request that created the record."""
        created = self.history[0]
        values = {change["field"]: change["new"] for change in created.changes}
        data = {name: values.get(name) for name in self.data}
        first = {"version": 1, "state": "active", "data": data, "attachment": None, "updated_at": created.at}
        return self.model_copy(update=first)


def _attachment(event: AttachmentChanged) -> Attachment | None:
    if event.state == "deleted":
        return None
    return Attachment(attachment_id=event.attachment_id, title=event.title, state=event.state, reasons=event.reasons)
