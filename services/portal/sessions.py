"""Sessions in Redis: an opaque cookie, behind it sealed tokens that are refreshed here and never reach a browser."""

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from pydantic import BaseModel, ConfigDict

from kit.clock import Clock
from kit.errors import AppError
from services.portal.answers import Tokens
from services.portal.backend import Asker, Backend, Refused
from services.portal.settings import SessionSettings
from services.portal.vault import Kept, Vault

Kind = Literal["practitioner", "staff"]
COOKIE_BYTES = 32
COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")
EARLY_SECONDS = 30
"""A token is renewed so long before it runs out: it must last for the whole request."""
REFRESH_SECONDS = 15
WAIT_SECONDS = 0.05


class Session(BaseModel):
    """Whose browser it is; `access_until`, and `auth_time` of the last code, are Unix times."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    subject: str
    name: str
    roles: list[str] = []
    access_token: str = ""
    access_until: float = 0
    refresh_token: str = ""
    auth_time: float = 0

    def with_tokens(self, tokens: Tokens, clock: Clock) -> "Session":
        """The same session with the tokens that were just given."""
        until = clock.now().timestamp() + tokens.expires_in
        given = tokens.model_dump(include={"access_token", "refresh_token", "auth_time"})
        return self.model_copy(update={**given, "access_until": until})


class SessionOver(AppError):
    """Nobody is logged in with this cookie (any more)."""

    cause = ""  # nothing is denied: the browser is sent to the log-in

    def __init__(self) -> None:
        super().__init__(401, "unauthorized", "登录已失效，请重新登录")


def new_cookie() -> str:
    """An unguessable name for a browser (256 bits)."""
    return secrets.token_urlsafe(COOKIE_BYTES)


def mark(cookie: str) -> str:
    """What a cookie is called in Redis: whoever reads there cannot use it."""
    return hashlib.sha256(cookie.encode()).hexdigest()


class Sessions:
    """Opens, finds, refreshes and ends sessions. Only the holder of a claim rewrites one: a refresh works once."""

    def __init__(self, vault: Vault, backend: Backend, settings: SessionSettings, clock: Clock) -> None:
        self._vault, self._backend, self._clock = vault, backend, clock
        self._idle = settings.idle_seconds

    async def open(self, kind: Kind, subject: str, name: str, tokens: Tokens) -> str:
        """A new session under a new cookie, which is returned."""
        cookie = new_cookie()
        session = Session(kind=kind, subject=subject, name=name, roles=tokens.roles).with_tokens(tokens, self._clock)
        await self._vault.put(_key(cookie), session.model_dump_json(), self._idle)
        return cookie

    async def find(self, cookie: str) -> Session | None:
        """The session of a cookie, whatever its token is worth by now."""
        kept = await self._vault.get(_key(cookie))
        return Session.model_validate_json(kept.text) if kept else None

    async def fresh(self, cookie: str, asker: Asker) -> Session:
        """The session with a token that lasts for a request. Raises `SessionOver`."""
        while True:
            session = await self.find(cookie)
            if session is None:
                raise SessionOver
            if self._lasts(session):
                return session
            if await self._claimed(cookie):
                try:
                    return await self._refreshed(cookie, asker)
                finally:
                    await self._vault.drop(_claim(cookie))
            await asyncio.sleep(WAIT_SECONDS)

    async def prove(self, cookie: str, asker: Asker, challenge_id: str, code: str) -> Session:
        """The session with a fresh proof. Raises `SessionOver`, `Refused` when it is not the code."""
        async with self._alone(cookie):
            kept, session = await self._kept(cookie)
            body = {"challenge_id": challenge_id, "code": code}
            asker, path = asker.with_token(session.access_token), "/sessions/current/proofs"
            tokens = await self._backend.read(asker, "identity", Tokens, "POST", path, json=body)
            return await self._with_tokens(cookie, kept, session, tokens)

    @asynccontextmanager
    async def _alone(self, cookie: str) -> AsyncIterator[None]:
        while True:
            if await self._claimed(cookie):
                break
            await asyncio.sleep(WAIT_SECONDS)
        try:
            yield
        finally:
            await self._vault.drop(_claim(cookie))

    async def _claimed(self, cookie: str) -> bool:
        """Whether nobody else is about to rewrite the session."""
        return await self._vault.cache.claim(_claim(cookie), "1", REFRESH_SECONDS)

    async def _refreshed(self, cookie: str, asker: Asker) -> Session:
        kept, session = await self._kept(cookie)
        if self._lasts(session):  # by whoever held the claim before
            return session
        return await self._with_tokens(cookie, kept, session, await self._next_tokens(cookie, session, asker))

    async def _kept(self, cookie: str) -> tuple[Kept, Session]:
        kept = await self._vault.get(_key(cookie))
        if kept is None:
            raise SessionOver
        return kept, Session.model_validate_json(kept.text)

    async def _with_tokens(self, cookie: str, kept: Kept, session: Session, tokens: Tokens) -> Session:
        following = session.with_tokens(tokens, self._clock)
        if not await self._vault.swap(_key(cookie), kept, following.model_dump_json(), self._idle):
            raise SessionOver  # it was ended meanwhile
        return following

    async def _next_tokens(self, cookie: str, session: Session, asker: Asker) -> Tokens:
        body = {"refresh_token": session.refresh_token}
        try:
            return await self._backend.read(asker, "identity", Tokens, "POST", "/tokens/refresh", json=body)
        except Refused as refused:
            await self.end(cookie)
            raise SessionOver from refused

    async def end(self, cookie: str) -> None:
        """Forget a session."""
        await self._vault.drop(_key(cookie))

    def _lasts(self, session: Session) -> bool:
        return session.access_until > self._clock.now().timestamp() + EARLY_SECONDS


def _key(cookie: str) -> str:
    return f"session:{mark(cookie)}"


def _claim(cookie: str) -> str:
    return f"refresh:{mark(cookie)}"
