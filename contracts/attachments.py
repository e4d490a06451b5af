"""Events of attachments: the state of a record's scan."""

from typing import ClassVar, Literal

from contracts import access
from contracts.records import Reason
from kit.core.events import EventData


class AttachmentChanged(EventData):
    """A scan was uploaded, judged or deleted (`state`). Neither the file nor where it is kept.

    `seen`: its owner has looked at it since it was refused; a version of its own, `action` is `seen`.
    """

    TYPE: ClassVar[str] = "attachments.attachment.changed.v1"
    TOPIC: ClassVar[str] = "attachments.changes"
    SUBJECT: ClassVar[str] = "attachment_id"

    attachment_id: str
    record_id: str
    kind: str
    state: Literal["checking", "accepted", "refused", "deleted"]
    title: str
    reasons: list[Reason]
    warnings: list[Reason]
    sha256: str
    size: int
    width: int | None
    height: int | None
    dpi: int | None
    seen: bool = False


class AccessLogged(access.AccessLogged):
    """Somebody read a scan that is not their own."""

    TYPE: ClassVar[str] = "attachments.access.logged.v1"
    TOPIC: ClassVar[str] = "attachments.messages"
    SUBJECT: ClassVar[str] = "access_id"
