"""Events of signature: forms that were printed, what became of their scans."""

from datetime import datetime
from typing import ClassVar, Literal

from contracts import access
from contracts.records import Reason
from kit.core.events import EventData


class FormChanged(EventData):
    """A form was printed, or became stale: the person's name or number is another one now."""

    TYPE: ClassVar[str] = "signature.form.changed.v1"
    TOPIC: ClassVar[str] = "signature.changes"
    SUBJECT: ClassVar[str] = "form_id"

    form_id: str
    state: Literal["valid", "stale"]
    expires_at: datetime


class SignatureChanged(EventData):
    """A signed form was uploaded, judged, or replaced by a newer one (`state`). Neither the picture nor its place.

    `seen`: its owner has looked at it since it was refused; a version of its own, `action` is `seen`.
    """

    TYPE: ClassVar[str] = "signature.signature.changed.v1"
    TOPIC: ClassVar[str] = "signature.changes"
    SUBJECT: ClassVar[str] = "signature_id"

    signature_id: str
    form_id: str | None
    state: Literal["checking", "accepted", "refused", "replaced"]
    reasons: list[Reason]
    warnings: list[Reason]
    sha256: str
    size: int
    seen: bool = False


class AccessLogged(access.AccessLogged):
    """Somebody read a signature or form that is not their own."""

    TYPE: ClassVar[str] = "signature.access.logged.v1"
    TOPIC: ClassVar[str] = "signature.messages"
    SUBJECT: ClassVar[str] = "access_id"
