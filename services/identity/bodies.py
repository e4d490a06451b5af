"""What goes in and comes out at identity's door: the bodies of requests and answers."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field, StrictBool

from kit.http.routes import In, Out
from kit.privacy.access_audit import Look
from kit.security.tokens import Caller
from services.identity.account_entities import Staff
from services.identity.documents import DocumentType
from services.identity.domain import ChallengeState, DocumentNumber, Phone, Sex
from services.identity.login_entities import Session
from services.identity.person_entities import ErasureRequest, ErasureState, Practitioner
from services.identity.sessions import Tokens

DeviceToken = Annotated[str | None, Field(max_length=64)]


class CaptchaOut(Out):
    """A captcha to be solved; `image` is a PNG data URI."""

    captcha_id: str
    image: str
    audio_url: str
    expires_at: datetime


class CodeIn(In):
    """Who asks for a code."""

    document_number: DocumentNumber
    phone: Phone
    captcha_id: str = Field(max_length=64)
    captcha_answer: str = Field(max_length=16)
    device_token: DeviceToken = None


class CodeOut(Out):
    """A code is on its way."""

    challenge_id: str
    phone_hint: str
    expires_at: datetime
    resend_at: datetime


class CodeState(Out):
    """Where the code is."""

    state: ChallengeState
    tries_left: int
    resend_at: datetime
    expires_at: datetime


class SessionIn(In):
    """The code as received."""

    challenge_id: str = Field(max_length=64)
    code: str = Field(pattern=r"^[0-9]{6}$")


class LoginIn(SessionIn):
    """The code, and the token of a device that logged in before."""

    device_token: DeviceToken = None


class StaffSessionIn(In):
    """Two factors of a member of staff."""

    username: str = Field(min_length=1, max_length=64)
    password: str = Field(min_length=1, max_length=256)
    totp: str = Field(pattern=r"^[0-9]{6}$")


class PasswordIn(In):
    """Another password, and the proof of who chooses it."""

    password: str = Field(min_length=1, max_length=256)
    totp: str = Field(pattern=r"^[0-9]{6}$")
    new_password: str = Field(max_length=256)


class ResetIn(In):
    """Which credentials to replace."""

    password: StrictBool = True
    totp: StrictBool = True


class RefreshIn(In):
    """The newest refresh token."""

    refresh_token: str = Field(max_length=200)


class TokensOut(Out):
    """A pair of tokens, of which session; `auth_time`: when that last proved a code, in Unix seconds."""

    session_id: str
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # the scheme's name
    expires_in: int
    refresh_token: str
    auth_time: int


class SessionOut(TokensOut):
    """A practitioner's session; `device_token` is to be kept: with it this device has codes and tries of its own."""

    practitioner_id: str
    device_token: str


class StaffSessionOut(TokensOut):
    """A session of staff."""

    staff_id: str
    roles: list[str]
    password_change_required: bool

    @classmethod
    def of(cls, tokens: Tokens, staff: Staff) -> "StaffSessionOut":
        """From both documents; with a password that was made for them they have no roles yet."""
        who = {"staff_id": staff.id, "roles": staff.roles_now}
        return cls.model_validate({**asdict(tokens), **who, "password_change_required": bool(staff.password_until)})


class StaffOut(Out):
    """An account of staff."""

    staff_id: str
    username: str
    roles: list[str]
    enabled: bool
    password_until: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, staff: Staff) -> "StaffOut":
        """From the document."""
        return cls.model_validate({**staff.model_dump(), "staff_id": staff.id})


class HandedOut(Out):
    """What was made, to be handed to its owner; shown this once. `password_until`: by when to choose another one."""

    password: str | None
    password_until: datetime | None
    totp_secret: str | None
    totp_uri: str | None


class SessionOfMine(Out):
    """A session of the caller's own; `device` is what the browser calls itself."""

    session_id: str
    device: str
    address: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    current: bool

    @classmethod
    def of(cls, session: Session, caller: Caller) -> "SessionOfMine":
        """From the document."""
        own = {"session_id": session.id, "current": session.id == caller.session}
        return cls.model_validate({**session.model_dump(), **own})


class AccessOut(Out):
    """Who looked: a member of staff or an API client."""

    access_id: str
    at: datetime
    who: str
    role: str
    what: str
    document_id: str
    reason: str

    @classmethod
    def of(cls, access: Look) -> "AccessOut":
        """From the document."""
        return cls.model_validate({**access.model_dump(), "access_id": access.id, "at": access.created_at})


ASKED = ("requested", "repeated", "erased")
"""What asks for an erasure; `erased` of earlier versions, which carried it out at once."""


class ErasureOut(Out):
    """How far an erasure is; who did what is a label like `staff:<id>`.

    `requested_at`: when it was asked for last, the `times`-th time; `due_at`: when it is carried out, once approved.
    """

    practitioner_id: str
    state: ErasureState
    reason: str
    requested_at: datetime
    requested_by: str | None
    times: int
    approved_at: datetime | None
    approved_by: str | None
    due_at: datetime | None
    stop_reason: str | None

    @classmethod
    def of(cls, erasure: ErasureRequest) -> "ErasureOut":
        """From the document with its history."""
        asked = erasure.last(*ASKED)
        approved = erasure.last("approved") if erasure.state in ("approved", "erased") else None
        return cls(
            practitioner_id=erasure.practitioner_id, state=erasure.state, reason=erasure.reason,
            requested_at=asked.at if asked else erasure.created_at, requested_by=asked.by if asked else None,
            times=sum(entry.action in ASKED for entry in erasure.history),
            approved_at=approved.at if approved else None, approved_by=approved.by if approved else None,
            due_at=erasure.due_at, stop_reason=erasure.stop_reason,
        )  # fmt: skip


class ErasedOut(Out):
    """Whether a person was erased."""

    erased: bool


class ClientTokenOut(Out):
    """A client's access token (RFC 6749 §5.1)."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # the scheme's name
    expires_in: int
    scope: str


class KeysOut(Out):
    """A JWKS document (RFC 7517)."""

    keys: list[dict[str, str]]


class PractitionerOut(Out):
    """Basic information (guide §5.1)."""

    practitioner_id: str
    version: int
    document_type: DocumentType
    document_number: str
    former_numbers: list[str]
    name: str
    name_latin: str | None
    sex: Sex
    ethnicity: str | None
    nationality: str | None
    birth_date: date
    address: str | None
    authority: str | None
    valid_from: date | None
    valid_to: date | None
    long_term: bool
    updated_at: datetime


class RegisteredOut(Out):
    """A registered person, as a window needs to know of them."""

    practitioner_id: str
    name: str
    document_type: str
    version: int
    updated_at: datetime
    possible_duplicates: int = Field(default=0, description="others on file who may be the new person")


class WarningOut(Out):
    """What does not hinder a registration, but somebody should confirm."""

    code: Literal["document_expired"]
    message: str


class CandidateOut(Out):
    """Somebody on file who may be the person at the window."""

    practitioner_id: str
    name: str
    birth_date: date
    document_type: DocumentType
    document_hint: str
    registered_at: datetime

    @classmethod
    def of(cls, person: Practitioner, hint: str) -> "CandidateOut":
        """From the document."""
        told = {"practitioner_id": person.id, "document_hint": hint, "registered_at": person.created_at}
        return cls.model_validate({**person.model_dump(), **told})


class CheckOut(Out):
    """Before a registration: whose document it is; what to confirm; who the person may be, where nobody has it."""

    known: str | None
    warnings: list[WarningOut]
    candidates: list[CandidateOut]


class PersonOut(Out):
    """A person found by their document."""

    practitioner_id: str


class LookupIn(In):
    """A document; a passport's number is only unique with the country that issued it."""

    document_type: DocumentType
    document_number: DocumentNumber
    nationality: str | None = Field(default=None, pattern=r"^[A-Z]{1,3}$")


class LookupsIn(In):
    """Many documents at once."""

    documents: list[LookupIn] = Field(min_length=1, max_length=1_000)


class FoundOut(Out):
    """Who has a document, or why nobody can be named: `not_found`, `document_ambiguous`."""

    practitioner_id: str | None
    code: Literal["not_found", "document_ambiguous"] | None

    @classmethod
    def of(cls, people: list[str]) -> "FoundOut":
        """From everybody who has it."""
        if len(people) == 1:
            return cls(practitioner_id=people[0], code=None)
        return cls(practitioner_id=None, code="document_ambiguous" if people else "not_found")
