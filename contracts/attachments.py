"""Events of attachments: the state of a record's scan."""

from typing import ClassVar, Literal

from contracts import access
from contracts.records import Reason
from kit.core.events import EventData


class AttachmentChanged(EventData):
    """A scan was uploaded, checked or deleted (`state`). Contains neither the scan nor its object key.

    `seen`: the owner has opened the refused scan; this is a version of its own, with the `action` `seen`.
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
    """Staff or an API client read another person's scan."""

    TYPE: ClassVar[str] = "attachments.access.logged.v1"
    TOPIC: ClassVar[str] = "attachments.messages"
    SUBJECT: ClassVar[str] = "access_id"
