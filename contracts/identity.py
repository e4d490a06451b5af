"""Events of identity: practitioners, digital certificates, API clients, erasures, codes to be sent."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts import access
from kit.core.events import EventData

CODE_CONTEXT = "identity.code.requested.v1"
CONTACT_CONTEXT = "identity.certificate.changed.v1"

DOCUMENT_TITLES = {
    "resident_id": "身份证",
    "hmt_residence_permit": "港澳台居民居住证",
    "foreign_permanent_resident_id": "外国人永久居留身份证",
    "passport": "外国护照",
    "military_id": "军官证",
    "hk_macao_permit": "港澳居民来往内地通行证",
    "taiwan_permit": "台湾居民来往大陆通行证",
}
"""The Chinese name of each type of identity document."""
DOCUMENT_WORDS = {word: code for code, title in DOCUMENT_TITLES.items() for word in (code, title)}
DOCUMENT_WORDS |= {"居民身份证": "resident_id", "护照": "passport"}
"""The type of identity document by each spelling that an imported table may contain."""


class PractitionerChanged(EventData):
    """A person was registered or registered again. Contains no document number, address or portrait."""

    TYPE: ClassVar[str] = "identity.practitioner.changed.v1"
    TOPIC: ClassVar[str] = "identity.changes"
    SUBJECT: ClassVar[str] = "practitioner_id"

    name: str
    sex: Literal["male", "female", "unknown"]
    birth_year: int
    document_type: str


class CertificateChanged(EventData):
    """A digital certificate was issued, bound to another phone, or revoked; or a rebinding was requested or refused."""

    TYPE: ClassVar[str] = "identity.certificate.changed.v1"
    TOPIC: ClassVar[str] = "identity.changes"
    SUBJECT: ClassVar[str] = "certificate_id"

    certificate_id: str
    certificate_no: str
    state: Literal["active", "revoked"]
    contact: str | None = Field(description="the phone, encrypted for notify; null when revoked")


class ClientChanged(EventData):
    """An API client was created, changed, disabled or enabled. `practitioner_id` is the client's own id."""

    TYPE: ClassVar[str] = "identity.client.changed.v1"
    TOPIC: ClassVar[str] = "identity.changes"
    SUBJECT: ClassVar[str] = "practitioner_id"

    client_id: str = Field(description="the client id that it gets tokens with")
    enabled: bool
    scopes: list[str]


class PractitionerErased(EventData):
    """A person is to be erased: every holder of their data removes it. Irrevocable; may be published repeatedly."""

    TYPE: ClassVar[str] = "identity.practitioner.erased.v1"
    TOPIC: ClassVar[str] = "identity.changes"
    SUBJECT: ClassVar[str] = "erasure_id"

    erasure_id: str
    proof: str | None = Field(
        default=None,
        description="proves to identity, after a restore, that it published this event; opaque to others",
    )


class ErasureRequested(EventData):
    """Staff requested the erasure of a person, who is notified and can object. Nothing is erased yet."""

    TYPE: ClassVar[str] = "identity.erasure.requested.v1"
    TOPIC: ClassVar[str] = "identity.messages"
    SUBJECT: ClassVar[str] = "erasure_id"

    erasure_id: str


class CodeRequested(EventData):
    """A log-in code is to be sent to a phone, but not after `send_before`."""

    TYPE: ClassVar[str] = "identity.code.requested.v1"
    TOPIC: ClassVar[str] = "identity.messages"
    SUBJECT: ClassVar[str] = "challenge_id"

    challenge_id: str
    purpose: Literal["login_code"]
    message: str = Field(description="a CodeMessage as JSON, encrypted for notify")
    send_before: datetime


class ProofRequested(EventData):
    """Another code is to be sent: `bind_code` to a phone to be bound, `confirm_code` for a recent authentication."""

    TYPE: ClassVar[str] = "identity.proof.requested.v1"
    TOPIC: ClassVar[str] = "identity.messages"
    SUBJECT: ClassVar[str] = "challenge_id"

    challenge_id: str
    purpose: str = Field(description="notify's name of the text: bind_code, confirm_code, or one added later")
    message: str = Field(description="a CodeMessage as JSON, encrypted for notify")
    send_before: datetime


class CodeMessage(BaseModel):
    """The plaintext of `message` in `CodeRequested` and `ProofRequested`."""

    model_config = ConfigDict(frozen=True)

    phone: str
    code: str


class AccessLogged(access.AccessLogged):
    """Staff or an API client read another person's data in identity."""

    TYPE: ClassVar[str] = "identity.access.logged.v1"
    TOPIC: ClassVar[str] = "identity.messages"
    SUBJECT: ClassVar[str] = "access_id"
