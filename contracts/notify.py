"""Events of notify: the state of each message."""

from typing import ClassVar, Literal

from kit.core.events import EventData


class MessageChanged(EventData):
    """A message reached another state. Contains neither the phone nor the text."""

    TYPE: ClassVar[str] = "notify.message.changed.v1"
    TOPIC: ClassVar[str] = "notify.changes"
    SUBJECT: ClassVar[str] = "message_id"

    message_id: str
    purpose: str
    about: str
    state: Literal["queued", "sent", "delivered", "failed", "expired"]
    provider: str | None
    attempts: int
