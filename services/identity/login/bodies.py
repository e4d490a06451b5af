"""Request and response bodies of codes and sessions."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from kit.http.routes import In, Out
from kit.security.tokens import Caller
from services.identity.domain import DocumentNumber, Phone
from services.identity.login.domain import ChallengeState, Session

DeviceToken = Annotated[str | None, Field(max_length=64)]


class CodeIn(In):
    """Document number and phone of the person, the solved captcha, and the device token of a known device."""

    document_number: DocumentNumber
    phone: Phone
    captcha_id: str = Field(max_length=64)
    captcha_answer: str = Field(max_length=16)
    device_token: DeviceToken = None


class CodeOut(Out):
    """A code that was requested."""

    challenge_id: str
    phone_hint: str
    expires_at: datetime
    resend_at: datetime


class CodeState(Out):
    """The state of a code."""

    state: ChallengeState
    tries_left: int
    resend_at: datetime
    expires_at: datetime


class SessionIn(In):
    """The code that the person received."""

    challenge_id: str = Field(max_length=64)
    code: str = Field(pattern=r"^[0-9]{6}$")


class LoginIn(SessionIn):
    """The code, and the device token of a known device."""

    device_token: DeviceToken = None


class RefreshIn(In):
    """The newest refresh token of a session."""

    refresh_token: str = Field(max_length=200)


class TokensOut(Out):
    """A pair of tokens and their session; `auth_time`: when a code was last proved in it, in Unix seconds."""

    session_id: str
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # the scheme's name
    expires_in: int
    refresh_token: str
    auth_time: int


class SessionOut(TokensOut):
    """A practitioner's session. Keep `device_token`: with it, the device has codes and limits of its own."""

    practitioner_id: str
    device_token: str


class SessionOfMine(Out):
    """A session of the caller; `device` is the browser's User-Agent."""

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
