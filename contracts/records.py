"""Events of records: every change of a professional record, with its whole current state."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts import access
from kit.core.events import EventData

Value = str | bool | int | float | list[str] | None
"""The value of a field of a record: text, a day as YYYY-MM-DD, a term, several of them, or nothing."""


class Reason(BaseModel):
    """Why a scan was refused: a stable code and a Chinese sentence."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


class Attachment(BaseModel):
    """The scan behind a record."""

    model_config = ConfigDict(frozen=True)

    attachment_id: str
    title: str
    state: Literal["checking", "accepted", "refused"]
    reasons: list[Reason] = []


class Source(BaseModel):
    """The upstream system a record comes from."""

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
    kind: str = Field(description="one of GET /api/records/kinds")
    state: Literal["active", "deleted"]
    data: dict[str, Value] = Field(description="the fields of its kind: GET /api/records/kinds/{kind}/schema")
    attachment: Attachment | None = Field(description="its scan; null: none")
    source: Source | None = Field(description="the system it comes from; null: the person keeps it")


class AccessLogged(access.AccessLogged):
    """Somebody read a file in records that is not their own."""

    TYPE: ClassVar[str] = "records.access.logged.v1"
    TOPIC: ClassVar[str] = "records.messages"
    SUBJECT: ClassVar[str] = "access_id"
