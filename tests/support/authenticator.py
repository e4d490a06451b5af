"""An authenticator in software, and members of staff who log in with it."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2.cose import ES256, CoseKey
from fido2.utils import sha256, websafe_decode, websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

from services.identity.accounts.domain import staff_id
from services.identity.wiring.shared import Dependencies
from tests.support.identity_clients import Session, Staff
from tests.support.stack import RunningStack
from tests.support.staffing import Hire

STAFF = "/api/identity/staff"
OWN_PASSKEYS = f"{STAFF}/me/passkeys"
FLAG = AuthenticatorData.FLAG
VERIFIED = FLAG.UP | FLAG.UV
Json = dict[str, Any]


@dataclass
class Authenticator:
    """A security key with one credential. Every fact that it signs can be changed, as an attacker would."""

    origin: str
    site: str = "localhost"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    count: int = 0
    user: str = ""

    def _client_data(self, type_: str, options: Json, changes: Json) -> CollectedClientData:
        facts = {"challenge": options["challenge"], "origin": self.origin} | changes
        return CollectedClientData.create(type_, **facts)

    def create(self, options: Json, flags: FLAG = VERIFIED, site: str = "", **client: Any) -> Json:
        """Creates the credential: the browser's `RegistrationResponseJSON`."""
        self.user = self.user or websafe_decode(options["user"]["id"]).decode()
        public: CoseKey = ES256.from_cryptography_key(self.key.public_key())  # type: ignore[no-untyped-call]
        made = AttestedCredentialData.create(b"\0" * 16, self.credential_id, public)
        data = AuthenticatorData.create(sha256((site or self.site).encode()), flags | FLAG.AT, self.count, made)
        return self._credential(
            clientDataJSON=self._client_data("webauthn.create", options, client).b64,
            attestationObject=websafe_encode(AttestationObject.create("none", data, {})),
        )

    def get(self, options: Json, flags: FLAG = VERIFIED, site: str = "", user: str = "", **client: Any) -> Json:
        """Signs a log-in: the browser's `AuthenticationResponseJSON`. The counter grows if it is used at all."""
        self.count += bool(self.count)
        data = AuthenticatorData.create(sha256((site or self.site).encode()), flags, self.count)
        told = self._client_data("webauthn.get", options, client)
        return self._credential(
            clientDataJSON=told.b64, authenticatorData=websafe_encode(data),
            signature=websafe_encode(self.key.sign(data + told.hash, ec.ECDSA(SHA256()))),
            userHandle=websafe_encode((user or self.user).encode()),
        )  # fmt: skip

    def _credential(self, **response: str) -> Json:
        name = websafe_encode(self.credential_id)
        return {"id": name, "rawId": name, "type": "public-key", "response": response}


async def login_challenge(http: httpx2.AsyncClient) -> Json:
    """What identity asks any passkey for."""
    return dict((await http.post(f"{STAFF}/passkey-challenges")).raise_for_status().json())


async def answer(http: httpx2.AsyncClient, challenge: Json, credential: Json) -> httpx2.Response:
    body = {"challenge_id": challenge["challenge_id"], "credential": credential}
    return await http.post(f"{STAFF}/passkey-sessions", json=body)


async def session_of(inside: Dependencies, staff: Staff) -> Session:
    """A session of this member of staff that used up no TOTP code."""
    found = await inside.store.staff.get(staff_id(staff.login["username"]))
    assert found
    tokens = await inside.services.sessions.open_staff(found, "198.51.100.9", "a browser")
    return Session(staff.http, {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token})


async def begin(session: Session, staff: Staff, code: str = "") -> httpx2.Response:
    body = {"password": staff.login["password"], "totp": code or staff.code()}
    return await session.call("POST", f"{OWN_PASSKEYS}/challenges", json=body)


async def add(session: Session, challenge: Json, credential: Json, name: str = "安全密钥") -> httpx2.Response:
    body = {"challenge_id": challenge["challenge_id"], "name": name, "credential": credential}
    return await session.call("POST", OWN_PASSKEYS, json=body)


@dataclass
class Holder:
    """A member of staff with a passkey, logged in."""

    staff: Staff
    session: Session
    authenticator: Authenticator
    passkey_id: str

    async def log_in(self, **changes: Any) -> httpx2.Response:
        """Logs in with the passkey."""
        challenge = await login_challenge(self.staff.http)
        return await answer(self.staff.http, challenge, self.authenticator.get(challenge["options"], **changes))


Enrol = Callable[..., Awaitable[Holder]]
"""With roles: a new member of staff who has them, and a passkey."""


def own_authenticator(stack: RunningStack, **facts: Any) -> Authenticator:
    return Authenticator(f"http://localhost:{stack.gateway.rsplit(':', 1)[1]}", **facts)


@pytest.fixture
def enrol(hire: Hire, inside: Dependencies, stack: RunningStack) -> Enrol:
    async def new(*roles: str, count: int = 1) -> Holder:
        staff, authenticator = await hire(*roles), own_authenticator(stack, count=count)
        session = await session_of(inside, staff)
        challenge = (await begin(session, staff)).raise_for_status().json()
        made = await add(session, challenge, authenticator.create(challenge["options"]))
        assert made.status_code == 201, made.text
        return Holder(staff, session, authenticator, made.json()["passkey_id"])

    return new
