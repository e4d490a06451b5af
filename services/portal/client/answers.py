"""What the services answer, as far as pages show it: a field that a page does not need is not named here."""

from datetime import date, datetime
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")


class Answer(BaseModel):
    """An answer's body; what is new in it is no error."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Page(Answer, Generic[T]):
    """A list and the cursor of its next page."""

    items: list[T]
    next_cursor: str | None = None


class Captcha(Answer):
    """A captcha; `image` is a data URI."""

    captcha_id: str
    image: str


class CodeSent(Answer):
    """A code is on its way."""

    challenge_id: str
    phone_hint: str
    expires_at: datetime
    resend_at: datetime


class CodeState(Answer):
    """Where the code is."""

    state: Literal["requested", "sent", "delivered", "failed", "expired", "used"]
    tries_left: int
    resend_at: datetime
    expires_at: datetime


class Tokens(Answer):
    """What a log-in, a refresh or a fresh proof gives; `expires_in` seconds, `auth_time` of the last code (Unix)."""

    session_id: str
    access_token: str
    expires_in: int
    refresh_token: str
    auth_time: float = 0
    practitioner_id: str = ""
    device_token: str = ""
    staff_id: str = ""
    roles: list[str] = []
    password_change_required: bool = False


class Practitioner(Answer):
    """Basic information (guide §5.1)."""

    practitioner_id: str
    document_type: str
    document_number: str
    name: str
    name_latin: str | None
    sex: str
    ethnicity: str | None
    nationality: str | None
    birth_date: date
    address: str | None
    authority: str | None
    valid_from: date | None
    valid_to: date | None
    long_term: bool
    updated_at: datetime


class PendingRebinding(Answer):
    """Another phone that a second clerk has to confirm."""

    rebinding_id: str
    phone_hint: str
    expires_at: datetime
    message: str


class Certificate(Answer):
    """A digital certificate."""

    certificate_no: str
    phone_hint: str
    state: Literal["active", "revoked"]
    created_at: datetime
    updated_at: datetime
    waiting: PendingRebinding | None = None


class Session(Answer):
    """One of the person's own sessions."""

    session_id: str
    device: str
    address: str
    created_at: datetime
    used_at: datetime
    current: bool


class AccessEntry(Answer):
    """Somebody looked at the person's file."""

    at: datetime
    who: str
    role: str
    what: str
    reason: str


class Field(Answer):
    """One field of a kind of record."""

    name: str
    title: str
    type: Literal["text", "name", "date", "term", "terms"]
    required: bool
    code_table: str | None
    max_length: int | None


class Kind(Answer):
    """A kind of record and what a form needs to know of it."""

    name: str
    title: str
    maintained_by: Literal["practitioner", "source"]
    attachment: bool
    fields: list[Field]

    @property
    def days(self) -> set[str]:
        """The names of its fields that are days."""
        return {field.name for field in self.fields if field.type == "date"}


class Code(Answer):
    """One term of a code table."""

    code: str
    label: str
    offered: bool = False


class Remark(Answer):
    """Why a scan was refused, or what is doubtful about it."""

    code: str
    message: str


AttachmentState = Literal["checking", "accepted", "refused"]


class RecordAttachment(Answer):
    """What a record tells of its scan."""

    attachment_id: str
    title: str
    state: AttachmentState
    reasons: list[Remark]


class Attachment(RecordAttachment):
    """A scan and what the check says of it."""

    size: int
    warnings: list[Remark]
    width: int | None
    height: int | None
    dpi: int | None


class Source(Answer):
    """From where a record came that the person doesn't keep themselves."""

    system: str
    key: str
    synced_at: datetime


Value = str | list[str] | None


class Record(Answer):
    """A record of the person's file."""

    record_id: str
    kind: str
    version: int
    data: dict[str, Value]
    attachment: RecordAttachment | None
    source: Source | None
    created_at: datetime
    updated_at: datetime


class ScanRules(Answer):
    """What a scan must be like."""

    limit_bytes: int
    least_dpi: int
    most_dpi: int
    title_length: int


class SignatureSheet(Answer):
    """A printable signature form."""

    form_id: str
    expires_at: datetime


class AcceptedSignature(Answer):
    """The signature that counts."""

    signature_id: str
    accepted_at: datetime


class Signature(Answer):
    """How far a person's signature is."""

    state: Literal["none", "checking", "accepted", "refused"]
    reasons: list[Remark] = []
    warnings: list[Remark] = []
    form_id: str | None = None
    signature_id: str | None = None
    accepted: AcceptedSignature | None = None
