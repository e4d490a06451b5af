"""Responses of the services, with the fields that pages need."""

from datetime import date, datetime
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")


class Answer(BaseModel):
    """The body of a response; unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Page(Answer, Generic[T]):
    """One page of a list, and the cursor of the next."""

    items: list[T]
    next_cursor: str | None = None


class Captcha(Answer):
    """A captcha; `image` is a data URI."""

    captcha_id: str
    image: str


class CodeSent(Answer):
    """The challenge of a code that is being sent."""

    challenge_id: str
    phone_hint: str
    expires_at: datetime
    resend_at: datetime


class CodeState(Answer):
    """The delivery state of a code."""

    state: Literal["requested", "sent", "delivered", "failed", "expired", "used"]
    tries_left: int
    resend_at: datetime
    expires_at: datetime


class Tokens(Answer):
    """Tokens of a session; `expires_in` seconds, `auth_time`: Unix time of the last code."""

    session_id: str
    access_token: str
    expires_in: int
    refresh_token: str
    auth_time: float = 0
    practitioner_id: str = ""
    device_token: str = ""
    staff_id: str = ""
    username: str = ""
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
    """A change of phone that a second clerk has to confirm."""

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
    """One access to the person's dossier."""

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
    """A kind of record and its fields."""

    name: str
    title: str
    maintained_by: Literal["practitioner", "source"]
    attachment: bool
    fields: list[Field]

    @property
    def days(self) -> set[str]:
        """The names of its date fields."""
        return {field.name for field in self.fields if field.type == "date"}


class Code(Answer):
    """One term of a code table."""

    code: str
    label: str
    offered: bool = False


class Remark(Answer):
    """A reason for which a scan was refused, or a warning."""

    code: str
    message: str


AttachmentState = Literal["checking", "accepted", "refused"]


class RecordAttachment(Answer):
    """A record's scan, as records knows it."""

    attachment_id: str
    title: str
    state: AttachmentState
    reasons: list[Remark]


class Attachment(RecordAttachment):
    """A scan and the result of its check."""

    size: int
    warnings: list[Remark]
    width: int | None
    height: int | None
    dpi: int | None


class Source(Answer):
    """The register that a record comes from, for kinds that people don't maintain themselves."""

    system: str
    key: str
    synced_at: datetime


Value = str | list[str] | None


class Record(Answer):
    """A record of the dossier."""

    record_id: str
    kind: str
    version: int
    data: dict[str, Value]
    attachment: RecordAttachment | None
    source: Source | None
    created_at: datetime
    updated_at: datetime


class Dispute(Answer):
    """What a person says is wrong in a record of a source; `record_version`: the record's version then."""

    dispute_id: str
    practitioner_id: str
    record_id: str
    kind: str
    record_version: int
    text: str
    state: Literal["open", "closed"]
    opened_at: datetime
    outcome: Literal["corrected", "not_corrected"] | None
    reason: str | None
    closed_at: datetime | None


class ScanRules(Answer):
    """The rules for scans."""

    limit_bytes: int
    least_dpi: int
    most_dpi: int
    title_length: int


class Correction(Answer):
    """A scan that attachments made of a photo; `cropped`: the sheet was cut out, else the whole picture was resized."""

    correction_id: str
    width: int
    height: int
    dpi: int
    size: int
    cropped: bool
    remarks: list[Remark]


class SignatureSheet(Answer):
    """A signature sheet to print."""

    form_id: str
    expires_at: datetime


class AcceptedSignature(Answer):
    """The signature in use."""

    signature_id: str
    accepted_at: datetime


class Signature(Answer):
    """The state of a person's signature."""

    state: Literal["none", "checking", "accepted", "refused"]
    reasons: list[Remark] = []
    warnings: list[Remark] = []
    form_id: str | None = None
    signature_id: str | None = None
    accepted: AcceptedSignature | None = None
