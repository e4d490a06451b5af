"""Sessions in Redis: an opaque cookie, behind it sealed tokens that are refreshed here and never reach a browser."""

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
from services.portal.client.answers import Tokens
from services.portal.client.backend import Backend, CallerContext, Refused
from services.portal.session.vault import CachedText, EncryptedCache

Kind = Literal["practitioner", "staff"]
COOKIE_BYTES = 32
COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")
EARLY_SECONDS = 30
"""A token is renewed so long before it runs out: it must last for the whole request."""
REFRESH_SECONDS = 15
KEPT_SECONDS = 24 * 3600
"""After its last use a session is kept: identity says how long it lasts, and afterwards why it is over."""
UNKNOWN = "over"
WAIT_SECONDS = 0.05


class Session(BaseModel):
    """Whose browser it is; `access_until`, and `auth_time` of the last code, are Unix times.

    One that is over is kept for a while to tell why (`over`).
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
        """The same session with the tokens that were just given."""
        until = clock.now().timestamp() + tokens.expires_in
        given = tokens.model_dump(include={"session_id", "access_token", "refresh_token", "auth_time"})
        return self.model_copy(update={**given, "access_until": until})


class SessionOver(AppError):
    """Nobody is logged in with this cookie (any more); `reason` where it is known."""

    cause = ""  # nothing is denied: the browser is sent to the log-in

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(401, "unauthorized", SENTENCES.get(reason, UNKNOWN_REASON))


def new_cookie() -> str:
    """An unguessable name for a browser (256 bits)."""
    return secrets.token_urlsafe(COOKIE_BYTES)


def cookie_hash(cookie: str) -> str:
    """What a cookie is called in Redis: whoever reads there cannot use it."""
    return hashlib.sha256(cookie.encode()).hexdigest()


class Sessions:
    """Opens, finds, refreshes and ends sessions. Only the holder of a claim rewrites one: a refresh works once."""

    def __init__(self, vault: EncryptedCache, backend: Backend, end_of: EndOf, clock: Clock) -> None:
        self._vault, self._backend, self._end_of, self._clock = vault, backend, end_of, clock

    async def open(self, kind: Kind, subject: str, name: str, tokens: Tokens) -> str:
        """A new session under a new cookie, which is returned."""
        cookie = new_cookie()
        session = Session(kind=kind, subject=subject, name=name, roles=tokens.roles).with_tokens(tokens, self._clock)
        await self._vault.put(_key(cookie), session.model_dump_json(), KEPT_SECONDS)
        return cookie

    async def find(self, cookie: str) -> Session | None:
        """The session of a cookie, whatever its token is worth by now; None when there is none or it has ended."""
        try:
            return (await self._kept(cookie))[1]
        except SessionOver:
            return None

    async def fresh(self, cookie: str, asker: CallerContext) -> Session:
        """The session with a token that lasts for a request. Raises `SessionOver`."""
        while True:
            _, session = await self._kept(cookie)
            if self._lasts(session):
                return session
            if await self._claimed(cookie):
                try:
                    return await self._refreshed(cookie, asker)
                finally:
                    await self._vault.drop(_claim(cookie))
            await asyncio.sleep(WAIT_SECONDS)

    async def prove(self, cookie: str, asker: CallerContext, challenge_id: str, code: str) -> Session:
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

    async def _refreshed(self, cookie: str, asker: CallerContext) -> Session:
        kept, session = await self._kept(cookie)
        if self._lasts(session):  # by whoever held the claim before
            return session
        return await self._with_tokens(cookie, kept, session, await self._next_tokens(cookie, session, asker))

    async def _kept(self, cookie: str) -> tuple[CachedText, Session]:
        """The session as it is kept. Raises `SessionOver`."""
        kept = await self._vault.get(_key(cookie))
        if kept is None:
            raise SessionOver
        session = Session.model_validate_json(kept.text)
        if session.over:
            raise SessionOver(session.over)
        if ended := self._end_of(session.session_id):
            await self._keep_reason(cookie, session, ended.reason)
            raise SessionOver(ended.reason)
        return kept, session

    async def _with_tokens(self, cookie: str, kept: CachedText, session: Session, tokens: Tokens) -> Session:
        following = session.with_tokens(tokens, self._clock)
        if not await self._vault.swap(_key(cookie), kept, following.model_dump_json(), KEPT_SECONDS):
            await self._kept(cookie)  # it was ended meanwhile: raises why
            raise SessionOver
        return following

    async def _next_tokens(self, cookie: str, session: Session, asker: CallerContext) -> Tokens:
        body = {"refresh_token": session.refresh_token}
        try:
            return await self._backend.read(asker, "identity", Tokens, "POST", "/tokens/refresh", json=body)
        except Refused as refused:
            await self.end(cookie, refused.reason)
            raise SessionOver(refused.reason) from refused

    async def end(self, cookie: str, reason: str) -> None:
        """Forget a session, but not why it is over; the first reason stays."""
        with suppress(SessionOver):
            _, session = await self._kept(cookie)
            await self._keep_reason(cookie, session, reason)

    async def _keep_reason(self, cookie: str, session: Session, reason: str) -> None:
        over = Session(kind=session.kind, subject=session.subject, name="", over=reason or UNKNOWN)
        await self._vault.put(_key(cookie), over.model_dump_json(), KEPT_SECONDS)

    async def forget(self, cookie: str) -> None:
        """Drop a cookie whose session goes on under another one."""
        await self._vault.drop(_key(cookie))

    def _lasts(self, session: Session) -> bool:
        return session.access_until > self._clock.now().timestamp() + EARLY_SECONDS


def _key(cookie: str) -> str:
    return f"session:{cookie_hash(cookie)}"


def _claim(cookie: str) -> str:
    return f"refresh:{cookie_hash(cookie)}"
