"""Events of records: each change of a practitioner's record, with its complete current state."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts import access
from kit.core.events import EventData

Value = str | bool | int | float | list[str] | None
"""The value of a field of a record: text, a day as YYYY-MM-DD, a term or a list of them, a number, or null."""


class Reason(BaseModel):
    """A reason or warning of a verdict: a stable code, and a Chinese sentence for people."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


class Attachment(BaseModel):
    """The scan that proves a record."""

    model_config = ConfigDict(frozen=True)

    attachment_id: str
    title: str
    state: Literal["checking", "accepted", "refused"]
    reasons: list[Reason] = []


class Source(BaseModel):
    """The register that a record comes from: its name, its key of the record, the time of the last import."""

    model_config = ConfigDict(frozen=True)

    system: str
    key: str
    synced_at: str


class RecordChanged(EventData):
    """A record was created, changed or deleted (`state`)."""

    TYPE: ClassVar[str] = "records.record.changed.v1"
    TOPIC: ClassVar[str] = "records.changes"
    SUBJECT: ClassVar[str] = "record_id"

    record_id: str
    kind: str = Field(description="a kind listed by GET /api/records/kinds")
    state: Literal["active", "deleted"]
    data: dict[str, Value] = Field(description="the fields of its kind: GET /api/records/kinds/{kind}/schema")
    attachment: Attachment | None = Field(description="its scan; null if it has none")
    source: Source | None = Field(description="the register it comes from; null if the person maintains it")


class AccessLogged(access.AccessLogged):
    """Staff or an API client read another person's records."""

    TYPE: ClassVar[str] = "records.access.logged.v1"
    TOPIC: ClassVar[str] = "records.messages"
    SUBJECT: ClassVar[str] = "access_id"
