"""Request and response bodies of accounts."""

from dataclasses import asdict
from datetime import datetime
from typing import Literal

from pydantic import Field, StrictBool

from kit.http.routes import In, Out
from services.identity.accounts.domain import Staff
from services.identity.login.bodies import TokensOut
from services.identity.login.sessions import Tokens


class StaffSessionIn(In):
    """The credentials of a member of staff: user name, password and TOTP code."""

    username: str = Field(min_length=1, max_length=64)
    password: str = Field(min_length=1, max_length=256)
    totp: str = Field(pattern=r"^[0-9]{6}$")


class PasswordIn(In):
    """The new password, with the current password and a TOTP code."""

    password: str = Field(min_length=1, max_length=256)
    totp: str = Field(pattern=r"^[0-9]{6}$")
    new_password: str = Field(max_length=256)


class ResetIn(In):
    """Which credentials to replace."""

    password: StrictBool = True
    totp: StrictBool = True


class StaffSessionOut(TokensOut):
    """A session of staff."""

    staff_id: str
    roles: list[str]
    password_change_required: bool

    @classmethod
    def of(cls, tokens: Tokens, staff: Staff) -> "StaffSessionOut":
        """From both documents; with a temporary password the session has no roles."""
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
    """Generated credentials, to be handed to their owner; returned only once.

    `password_until`: when the temporary password expires.
    """

    password: str | None
    password_until: datetime | None
    totp_secret: str | None
    totp_uri: str | None


class ClientTokenOut(Out):
    """A client's access token (RFC 6749 §5.1)."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # the scheme's name
    expires_in: int
    scope: str
