"""Bodies of requests and answers about codes and sessions."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from kit.http.routes import In, Out
from kit.security.tokens import Caller
from services.identity.domain import DocumentNumber, Phone
from services.identity.login.domain import ChallengeState, Session

DeviceToken = Annotated[str | None, Field(max_length=64)]


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
