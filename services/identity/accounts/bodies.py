"""Request and response bodies of accounts."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue, StrictBool

from kit.core.text import Text
from kit.http.routes import In, Out
from services.identity.accounts.domain import Passkey, Staff
from services.identity.accounts.passkeys import PasskeyChallenge
from services.identity.login.bodies import TokensOut
from services.identity.login.sessions import Tokens

Password = Annotated[str, Field(min_length=1, max_length=256)]
Totp = Annotated[str, Field(pattern=r"^[0-9]{6}$")]
Binary = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=8_000)]
"""Bytes in base64url without padding."""
CredentialId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=1_364)]
"""At most 1,023 bytes (WebAuthn level 2 §5.1)."""


class StaffSessionIn(In):
    """The credentials of a member of staff: user name, password and TOTP code."""

    username: str = Field(min_length=1, max_length=64)
    password: Password
    totp: Totp


class FactorsIn(In):
    """The current password and a TOTP code."""

    password: Password
    totp: Totp


class PasswordIn(FactorsIn):
    """The new password, with both factors."""

    new_password: str = Field(max_length=256)


class CreatedIn(In):
    """The browser's `AuthenticatorAttestationResponseJSON` (WebAuthn level 3); further members are ignored."""

    model_config = ConfigDict(extra="ignore")

    client_data: Binary = Field(alias="clientDataJSON")
    attestation_object: Binary = Field(alias="attestationObject")


class AssertedIn(In):
    """The browser's `AuthenticatorAssertionResponseJSON` (WebAuthn level 3); further members are ignored."""

    model_config = ConfigDict(extra="ignore")

    client_data: Binary = Field(alias="clientDataJSON")
    authenticator_data: Binary = Field(alias="authenticatorData")
    signature: Binary
    user_handle: Binary | None = Field(default=None, alias="userHandle")


class _CredentialIn(In):
    model_config = ConfigDict(extra="ignore")

    id: CredentialId
    raw_id: CredentialId = Field(alias="rawId")
    type: Literal["public-key"]


class CreatedCredentialIn(_CredentialIn):
    """What `navigator.credentials.create` returned, as `RegistrationResponseJSON`."""

    response: CreatedIn


class AssertedCredentialIn(_CredentialIn):
    """What `navigator.credentials.get` returned, as `AuthenticationResponseJSON`."""

    response: AssertedIn


class PasskeySessionIn(In):
    """The response of a passkey to a challenge."""

    challenge_id: str = Field(max_length=64)
    credential: AssertedCredentialIn


class NewPasskeyIn(In):
    """A new passkey, with a name that its owner recognises."""

    challenge_id: str = Field(max_length=64)
    name: Annotated[str, Text(50)]
    credential: CreatedCredentialIn


class ResetIn(In):
    """Which credentials to replace; `passkeys` are removed."""

    password: StrictBool = True
    totp: StrictBool = True
    passkeys: StrictBool = True


class StaffSessionOut(TokensOut):
    """A session of staff."""

    staff_id: str
    username: str
    roles: list[str]
    password_change_required: bool

    @classmethod
    def of(cls, tokens: Tokens, staff: Staff) -> "StaffSessionOut":
        """From both documents; with a temporary password the session has no roles."""
        who = {"staff_id": staff.id, "username": staff.username, "roles": staff.roles_now}
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


class PasskeyChallengeOut(Out):
    """What a page passes to `navigator.credentials` as `publicKey`, with binary values in base64url."""

    challenge_id: str
    options: dict[str, JsonValue]
    expires_at: datetime

    @classmethod
    def of(cls, made: PasskeyChallenge) -> "PasskeyChallengeOut":
        """From the challenge."""
        return cls(challenge_id=made.id, options=made.options, expires_at=made.expires_at)


class PasskeyOut(Out):
    """A passkey; `synced`: it may be shared by several devices of its owner."""

    passkey_id: str
    name: str
    synced: bool
    created_at: datetime
    used_at: datetime | None

    @classmethod
    def of(cls, passkey: Passkey) -> "PasskeyOut":
        """From the account's document."""
        return cls.model_validate({**passkey.model_dump(), "passkey_id": passkey.id})


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
