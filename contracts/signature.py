"""Events of signature: printed signature sheets, and the signatures on their scans."""

from datetime import datetime
from typing import ClassVar, Literal

from contracts import access
from contracts.records import Reason
from kit.core.events import EventData


class FormChanged(EventData):
    """A signature sheet was printed, or became stale because the person's name or document number changed."""

    TYPE: ClassVar[str] = "signature.form.changed.v1"
    TOPIC: ClassVar[str] = "signature.changes"
    SUBJECT: ClassVar[str] = "form_id"

    form_id: str
    state: Literal["valid", "stale"]
    expires_at: datetime


class SignatureChanged(EventData):
    """A signed sheet was uploaded, checked, or replaced by a newer one (`state`). Contains no image or object key.

    `seen`: the owner has opened the refused signature; this is a version of its own, with the `action` `seen`.
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
    """Staff or an API client read another person's signature or signature sheet."""

    TYPE: ClassVar[str] = "signature.access.logged.v1"
    TOPIC: ClassVar[str] = "signature.messages"
    SUBJECT: ClassVar[str] = "access_id"
