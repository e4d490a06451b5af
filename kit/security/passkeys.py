"""Passkeys (WebAuthn): options for a browser, and its responses checked. The only importer of fido2."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from fido2.server import Fido2Server
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from pydantic import JsonValue

ALGORITHM = 3
"""The label of the algorithm in a COSE key (RFC 9052 §7.1)."""
REQUIRED = UserVerificationRequirement.REQUIRED

Options = dict[str, JsonValue]
"""What a page passes to `navigator.credentials` as `publicKey`, with binary values in base64url."""
Response = Mapping[str, object]
"""What the browser returned, in the JSON of WebAuthn level 3 (`RegistrationResponseJSON`)."""


class PasskeyRefused(Exception):
    """A response is malformed, or not one for this challenge, site or key, or the person was not verified."""


@dataclass(frozen=True)
class Credential:
    """A new credential. `id` and `key` (id and public key as the authenticator wrote them) are base64url.

    `synced`: the person's devices may share it, through an account at the maker of their system.
    """

    id: str
    key: str
    sign_count: int
    synced: bool


@dataclass(frozen=True)
class Assertion:
    """A checked log-in; `user`: the user handle, None if the authenticator returned none."""

    sign_count: int
    user: str | None

    def shows_a_copy(self, last: int) -> bool:
        """Whether the counter did not grow since `last`: the key exists twice (WebAuthn level 2 §7.2, step 21).

        Authenticators without a counter always send 0; keys that devices share have none.
        """
        return (self.sign_count, last) != (0, 0) and self.sign_count <= last


class RelyingParty:
    """The site that passkeys belong to. They are discoverable, and the person is verified by PIN or biometrics.

    `site`: what people type, like `portal.example.cn` or `http://localhost:8080`. Browsers have passkeys over HTTPS
    only, except on localhost: for any other name `http://` means that TLS ends before our gateway.
    """

    def __init__(self, site: str, name: str) -> None:
        parts = urlsplit(site if "://" in site else f"https://{site}")
        self.id = parts.hostname or ""
        self.origin = f"{parts.scheme if self.id == 'localhost' else 'https'}://{parts.netloc}"
        entity = PublicKeyCredentialRpEntity(name=name, id=self.id)
        self._server = Fido2Server(entity, AttestationConveyancePreference.NONE, lambda origin: origin == self.origin)

    def registration(self, user: str, name: str, known: Iterable[str]) -> tuple[Options, str]:
        """Options to create a passkey for a user who has those with the ids `known`; and their challenge."""
        entity = PublicKeyCredentialUserEntity(id=user.encode(), name=name, display_name=name)
        excluded = [
            PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=websafe_decode(each))
            for each in known
        ]
        options, state = self._server.register_begin(entity, excluded, ResidentKeyRequirement.REQUIRED, REQUIRED)
        return _plain(options), state["challenge"]

    def register(self, challenge: str, response: Response) -> Credential:
        """The credential that a browser created. Raises `PasskeyRefused`."""
        try:
            given = RegistrationResponse.from_dict(response)
            _require_own_page(given.response.client_data)
            return self._credential(self._server.register_complete(_state(challenge), given))
        except Exception as error:  # malformed responses raise errors of many kinds
            raise PasskeyRefused from error

    def _credential(self, made: AuthenticatorData) -> Credential:
        data = made.credential_data
        algorithms = [each.alg for each in self._server.allowed_algorithms]
        if data is None or data.public_key[ALGORITHM] not in algorithms:
            raise PasskeyRefused
        return Credential(
            websafe_encode(data.credential_id), websafe_encode(data), made.counter, made.is_backup_eligible()
        )

    def login(self) -> tuple[Options, str]:
        """Options to log in with any passkey of this site, which name nobody; and their challenge."""
        options, state = self._server.authenticate_begin(user_verification=REQUIRED)
        return _plain(options), state["challenge"]

    def authenticate(self, challenge: str, key: str, response: Response) -> Assertion:
        """Check a log-in with the credential that has this `key`, except for its counter. Raises `PasskeyRefused`."""
        try:
            given = AuthenticationResponse.from_dict(response)
            _require_own_page(given.response.client_data)
            self._server.authenticate_complete(_state(challenge), [AttestedCredentialData(websafe_decode(key))], given)
            handle = given.response.user_handle
            return Assertion(given.response.authenticator_data.counter, handle.decode() if handle else None)
        except Exception as error:  # malformed responses raise errors of many kinds
            raise PasskeyRefused from error


def _plain(options: Mapping[str, object]) -> Options:
    plain: Options = json.loads(json.dumps(dict(options)))["publicKey"]
    return plain


def _state(challenge: str) -> dict[str, str]:
    """What the library keeps between the two steps of a ceremony."""
    return {"challenge": challenge, "user_verification": REQUIRED}


def _require_own_page(data: CollectedClientData) -> None:
    """Our pages are in no frame of another site."""
    if data.cross_origin:
        raise PasskeyRefused
