"""Events of identity: who a person is, the digital certificate, the request to send a code."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts import access
from kit.events import EventData

CODE_CONTEXT = "identity.code.requested.v1"
CONTACT_CONTEXT = "identity.certificate.changed.v1"


class PractitionerChanged(EventData):
    """A person was registered or their card was read again. No document number, address or portrait."""

    TYPE: ClassVar[str] = "identity.practitioner.changed.v1"
    TOPIC: ClassVar[str] = "identity.changes"
    SUBJECT: ClassVar[str] = "practitioner_id"

    name: str
    sex: Literal["male", "female", "unknown"]
    birth_year: int
    document_type: str


class CertificateChanged(EventData):
    """A digital certificate was issued, bound to another phone, or revoked."""

    TYPE: ClassVar[str] = "identity.certificate.changed.v1"
    TOPIC: ClassVar[str] = "identity.changes"
    SUBJECT: ClassVar[str] = "certificate_id"

    certificate_id: str
    certificate_no: str
    state: Literal["active", "revoked"]
    contact: str | None = Field(description="the phone, sealed for notify; null when revoked")


class PractitionerErased(EventData):
    """A person is to be erased: whoever holds anything of them removes it. Never to be undone, told again at will."""

    TYPE: ClassVar[str] = "identity.practitioner.erased.v1"
    TOPIC: ClassVar[str] = "identity.changes"
    SUBJECT: ClassVar[str] = "erasure_id"

    erasure_id: str


class CodeRequested(EventData):
    """Send this code to this phone, or not at all after `send_before`."""

    TYPE: ClassVar[str] = "identity.code.requested.v1"
    TOPIC: ClassVar[str] = "identity.messages"
    SUBJECT: ClassVar[str] = "challenge_id"

    challenge_id: str
    purpose: Literal["login_code"]
    message: str = Field(description="a CodeMessage as JSON, sealed for notify")
    send_before: datetime


class CodeMessage(BaseModel):
    """What is sealed inside `CodeRequested.message`."""

    model_config = ConfigDict(frozen=True)

    phone: str
    code: str


class AccessLogged(access.AccessLogged):
    """Somebody read a file in identity that is not their own."""

    TYPE: ClassVar[str] = "identity.access.logged.v1"
    TOPIC: ClassVar[str] = "identity.messages"
    SUBJECT: ClassVar[str] = "access_id"
