"""Calls of staff to identity about passkeys."""

import json
from collections.abc import Mapping
from datetime import datetime

from kit.core.errors import InvalidFields
from services.portal.client.backend import Backend, CallerContext
from services.portal.client.models import Answer, Page, Tokens


class Passkey(Answer):
    """A passkey of the member of staff; `synced`: several of their devices may share it."""

    passkey_id: str
    name: str
    synced: bool
    created_at: datetime
    used_at: datetime | None


class PasskeyChallenge(Answer):
    """What the browser is asked for; `options` are passed to it as they are."""

    challenge_id: str
    options: dict[str, object]

    @property
    def text(self) -> str:
        """The options for a page's script."""
        return json.dumps(self.options)


class PasskeyCalls:
    """Calls to identity. Each may raise `Refused` or `Unavailable`."""

    def __init__(self, backend: Backend, caller: CallerContext) -> None:
        self._backend = backend
        self._caller = caller

    async def login_challenge(self) -> PasskeyChallenge:
        """A challenge to log in."""
        return await self._challenge("/staff/passkey-challenges", {})

    async def log_in(self, form: Mapping[str, str]) -> Tokens:
        """Open a session with what a page's script has put into the form."""
        body, path = _response(form), "/staff/passkey-sessions"
        return await self._backend.read(self._caller, "identity", Tokens, "POST", path, json=body)

    async def creation_challenge(self, password: str, totp: str) -> PasskeyChallenge:
        """A challenge to create a passkey, which needs both factors."""
        return await self._challenge("/staff/me/passkeys/challenges", {"password": password, "totp": totp})

    async def _challenge(self, path: str, body: Mapping[str, str]) -> PasskeyChallenge:
        return await self._backend.read(self._caller, "identity", PasskeyChallenge, "POST", path, json=body)

    async def add(self, form: Mapping[str, str]) -> None:
        """Add the passkey that a page's script has put into the form."""
        body = {**_response(form), "name": form.get("name", "")}
        await self._backend.request(self._caller, "identity", "POST", "/staff/me/passkeys", json=body)

    async def own(self) -> list[Passkey]:
        """The caller's own passkeys."""
        path = "/staff/me/passkeys"
        return (await self._backend.read(self._caller, "identity", Page[Passkey], "GET", path)).items

    async def remove(self, passkey_id: str) -> None:
        """Remove one of the caller's own passkeys."""
        await self._backend.request(self._caller, "identity", "DELETE", f"/staff/me/passkeys/{passkey_id}")


def _response(form: Mapping[str, str]) -> dict[str, object]:
    """Raises `InvalidFields` if the script has put nothing into the form."""
    try:
        credential = json.loads(form.get("credential", ""))
    except (ValueError, RecursionError) as error:
        raise InvalidFields.one("credential", "passkey_refused", "浏览器没有返回通行密钥，请重试") from error
    return {"challenge_id": form.get("challenge_id", ""), "credential": credential}
