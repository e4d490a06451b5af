"""Request and response bodies of certificates and rebindings."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from kit.core.text import Text
from kit.http.routes import In, Out
from services.identity.certificates.domain import Certificate, PendingRebinding, ReviewCause
from services.identity.certificates.rebindings import RebindingRequest
from services.identity.domain import Phone


class PhoneIn(In):
    """The phone to bind; `shared_reason` is required, and stored, if it is bound to another person."""

    phone: Phone
    shared_reason: Annotated[str, Text(200)] | None = None


class ReboundIn(PhoneIn):
    """Another phone, with the code that was sent to it. Both are required, but other errors are reported first."""

    challenge_id: str | None = Field(default=None, max_length=64)
    code: str | None = Field(default=None, pattern=r"^[0-9]{6}$")


PENDING_MESSAGE = "更换手机号码须由另一名工作人员确认。确认前，原手机号码继续有效"


class WaitingOut(Out):
    """A phone that is bound when a second clerk confirms it."""

    rebinding_id: str
    phone_hint: str
    requested_at: datetime
    expires_at: datetime
    message: str = PENDING_MESSAGE

    @classmethod
    def of(cls, waiting: PendingRebinding) -> "WaitingOut":
        """From the pending rebinding of a certificate."""
        times = {"requested_at": waiting.at, "expires_at": waiting.until}
        return cls.model_validate({"rebinding_id": waiting.id, "phone_hint": waiting.phone_hint, **times})


class CertificateOut(Out):
    """A digital certificate."""

    certificate_no: str
    phone_hint: str
    state: Literal["active", "revoked"]
    created_at: datetime
    updated_at: datetime
    waiting: WaitingOut | None = Field(default=None, description="another phone that a second clerk has to confirm")

    @classmethod
    def of(cls, certificate: Certificate, now: datetime) -> "CertificateOut":
        """From the document, without an expired rebinding."""
        waiting = certificate.waiting if certificate.waiting and now < certificate.waiting.until else None
        fields = certificate.model_dump(exclude={"waiting"})
        return cls.model_validate({**fields, "waiting": waiting and WaitingOut.of(waiting)})


class RebindingOut(Out):
    """A rebinding that waits for a second clerk. `cause`: why it needs one; `own`: the caller requested it."""

    rebinding_id: str
    practitioner_id: str
    certificate_no: str
    former_phone_hint: str
    phone_hint: str
    requested_by: str
    own: bool
    requested_at: datetime
    expires_at: datetime
    reason: str
    cause: ReviewCause
    card_read_at: datetime | None
    looked_up_at: datetime | None

    @classmethod
    def of(cls, request: RebindingRequest) -> "RebindingOut":
        """From the certificate and the clerk who requested it."""
        certificate, waiting = request.certificate, request.waiting
        own = waiting.model_dump(include={"phone_hint", "reason", "cause", "card_read_at", "looked_up_at"})
        return cls.model_validate({
            **own, "rebinding_id": waiting.id, "practitioner_id": certificate.practitioner_id,
            "certificate_no": certificate.certificate_no, "former_phone_hint": certificate.phone_hint,
            "requested_by": request.requested_by, "own": request.own,
            "requested_at": waiting.at, "expires_at": waiting.until,
        })  # fmt: skip
