"""Sessions in Redis, under an opaque cookie. Tokens are encrypted, refreshed here, and never reach a browser."""

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

from pydantic import BaseModel, ConfigDict

from contracts.sessions import SENTENCES
from kit.core.clock import Clock
from kit.core.errors import AppError
from kit.security.ended_sessions import UNKNOWN_REASON
from kit.security.tokens import EndOf
from services.portal.client.backend import Backend, CallerContext, Refused
from services.portal.client.models import Tokens
from services.portal.session.encrypted_cache import CachedText, EncryptedCache

Kind = Literal["practitioner", "staff"]
COOKIE_BYTES = 32
COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")
EARLY_SECONDS = 30
"""A token is refreshed this long before it expires, so that it is valid for the whole request."""
REFRESH_SECONDS = 15
KEPT_SECONDS = 24 * 3600
"""How long a session, or the reason why it ended, is kept after its last use. Identity decides how long it is valid."""
UNKNOWN = "over"
WAIT_SECONDS = 0.05


class Session(BaseModel):
    """A session; `access_until`, and `auth_time` of the last code, are Unix times.

    A session that has ended is kept for a while, with the reason in `over`.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    subject: str
    name: str
    session_id: str = ""
    over: str = ""
    roles: list[str] = []
    access_token: str = ""
    access_until: float = 0
    refresh_token: str = ""
    auth_time: float = 0

    def with_tokens(self, tokens: Tokens, clock: Clock) -> "Session":
        """The session with new tokens."""
        until = clock.now().timestamp() + tokens.expires_in
        fields = tokens.model_dump(include={"session_id", "access_token", "refresh_token", "auth_time"})
        return self.model_copy(update={**fields, "access_until": until})


class SessionOver(AppError):
    """There is no session for this cookie, or it has ended; `reason` may be empty."""

    cause = ""  # no security event: the browser is redirected to the log-in

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(401, "unauthorized", SENTENCES.get(reason, UNKNOWN_REASON))


def new_cookie() -> str:
    """A random cookie (256 bits)."""
    return secrets.token_urlsafe(COOKIE_BYTES)


def cookie_hash(cookie: str) -> str:
    """The hash that stands for a cookie in Redis keys, which must not reveal it."""
    return hashlib.sha256(cookie.encode()).hexdigest()


class Sessions:
    """Opens, finds, refreshes and ends sessions. A refresh token works once, so refreshing takes a lock."""

    def __init__(self, cache: EncryptedCache, backend: Backend, end_of: EndOf, clock: Clock) -> None:
        self._cache = cache
        self._backend = backend
        self._end_of = end_of
        self._clock = clock

    async def open(self, kind: Kind, subject: str, name: str, tokens: Tokens) -> str:
        """Open a session; returns its new cookie."""
        cookie = new_cookie()
        session = Session(kind=kind, subject=subject, name=name, roles=tokens.roles).with_tokens(tokens, self._clock)
        await self._cache.put(_key(cookie), session.model_dump_json(), KEPT_SECONDS)
        return cookie

    async def find(self, cookie: str) -> Session | None:
        """The session of a cookie, perhaps with an expired token; None if there is none or it has ended."""
        try:
            return (await self._load(cookie))[1]
        except SessionOver:
            return None

    async def fresh(self, cookie: str, caller: CallerContext) -> Session:
        """The session with a token that is valid for the whole request. Raises `SessionOver`."""
        while True:
            _, session = await self._load(cookie)
            if self._is_fresh(session):
                return session
            if await self._try_claim(cookie):
                try:
                    return await self._refreshed(cookie, caller)
                finally:
                    await self._cache.drop(_claim_key(cookie))
            await asyncio.sleep(WAIT_SECONDS)

    async def prove(self, cookie: str, caller: CallerContext, challenge_id: str, code: str) -> Session:
        """Authenticate again, with a code. Raises `SessionOver`, `Refused` for a wrong code."""
        async with self._exclusively(cookie):
            stored, session = await self._load(cookie)
            body = {"challenge_id": challenge_id, "code": code}
            caller, path = caller.with_token(session.access_token), "/sessions/current/proofs"
            tokens = await self._backend.read(caller, "identity", Tokens, "POST", path, json=body)
            return await self._store_tokens(cookie, stored, session, tokens)

    @asynccontextmanager
    async def _exclusively(self, cookie: str) -> AsyncIterator[None]:
        while True:
            if await self._try_claim(cookie):
                break
            await asyncio.sleep(WAIT_SECONDS)
        try:
            yield
        finally:
            await self._cache.drop(_claim_key(cookie))

    async def _try_claim(self, cookie: str) -> bool:
        """Claim the right to rewrite the session. False if another request holds it."""
        return await self._cache.claim(_claim_key(cookie), REFRESH_SECONDS)

    async def _refreshed(self, cookie: str, caller: CallerContext) -> Session:
        stored, session = await self._load(cookie)
        if self._is_fresh(session):  # refreshed under the previous claim
            return session
        return await self._store_tokens(cookie, stored, session, await self._next_tokens(cookie, session, caller))

    async def _load(self, cookie: str) -> tuple[CachedText, Session]:
        """The session and its stored text. Raises `SessionOver`."""
        stored = await self._cache.get(_key(cookie))
        if stored is None:
            raise SessionOver
        session = Session.model_validate_json(stored.text)
        if session.over:
            raise SessionOver(session.over)
        if ended := self._end_of(session.session_id):
            await self._store_reason(cookie, session, ended.reason)
            raise SessionOver(ended.reason)
        return stored, session

    async def _store_tokens(self, cookie: str, stored: CachedText, session: Session, tokens: Tokens) -> Session:
        refreshed = session.with_tokens(tokens, self._clock)
        if not await self._cache.swap(_key(cookie), stored, refreshed.model_dump_json(), KEPT_SECONDS):
            await self._load(cookie)  # ended in the meantime: raises with the reason
            raise SessionOver
        return refreshed

    async def _next_tokens(self, cookie: str, session: Session, caller: CallerContext) -> Tokens:
        body = {"refresh_token": session.refresh_token}
        try:
            return await self._backend.read(caller, "identity", Tokens, "POST", "/tokens/refresh", json=body)
        except Refused as refused:
            await self.end(cookie, refused.reason)
            raise SessionOver(refused.reason) from refused

    async def end(self, cookie: str, reason: str) -> None:
        """End a session, and keep the reason; the first reason stays."""
        with suppress(SessionOver):
            _, session = await self._load(cookie)
            await self._store_reason(cookie, session, reason)

    async def _store_reason(self, cookie: str, session: Session, reason: str) -> None:
        over = Session(kind=session.kind, subject=session.subject, name="", over=reason or UNKNOWN)
        await self._cache.put(_key(cookie), over.model_dump_json(), KEPT_SECONDS)

    async def delete(self, cookie: str) -> None:
        """Delete a session that continues under another cookie."""
        await self._cache.drop(_key(cookie))

    def _is_fresh(self, session: Session) -> bool:
        return session.access_until > self._clock.now().timestamp() + EARLY_SECONDS


def _key(cookie: str) -> str:
    return f"session:{cookie_hash(cookie)}"


def _claim_key(cookie: str) -> str:
    return f"refresh:{cookie_hash(cookie)}"
