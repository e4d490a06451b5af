"""Sessions: a short access token, and a refresh token that works once and is replaced by its successor.

They are documents, not cache entries: when Redis is away people still log in, and nobody is logged out.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kit.auth import Caller, TokenIssuer, Unauthorized
from kit.clock import Clock
from kit.errors import AppError, NotFound, NotYours
from kit.ids import secret_id
from kit.mongo import Conflict
from kit.seal import keyed_hash, same
from services.identity.settings import SessionSettings
from services.identity.store import Certificate, Session, SessionKind, Staff, Store


@dataclass(frozen=True)
class Tokens:
    """What a log-in, a refresh or a fresh proof gives; `auth_time` as in the access token."""

    access_token: str
    expires_in: int
    refresh_token: str
    auth_time: int | None


class RefreshInvalid(AppError):
    """The session is over, or the token was used before (which ends the session)."""

    def __init__(self) -> None:
        super().__init__(401, "refresh_invalid", "登录已失效，请重新登录")


class Sessions:
    """Opens, refreshes, lists and ends sessions."""

    def __init__(
        self,
        store: Store,
        issuer: TokenIssuer,
        settings: SessionSettings,
        fresh_seconds: int,
        key: bytes,
        clock: Clock,
    ) -> None:
        self._store, self._issuer, self._key, self._clock = store, issuer, key, clock
        self._fresh_seconds = fresh_seconds
        self._lasts: Mapping[SessionKind, timedelta] = {
            "practitioner": timedelta(seconds=settings.practitioner_seconds),
            "staff": timedelta(seconds=settings.staff_seconds),
        }
        self._idle: Mapping[SessionKind, timedelta] = {
            "practitioner": timedelta(seconds=settings.practitioner_idle_seconds),
            "staff": timedelta(seconds=settings.staff_idle_seconds),
        }

    async def open_practitioner(self, certificate: Certificate, address: str, device: str) -> Tokens:
        """A session of a practitioner; it lasts while their certificate is bound to the same phone."""
        caller = Caller(certificate.practitioner_id, "practitioner", session=secret_id())
        return await self._open("practitioner", caller, certificate.phone_index, address, device)

    async def open_staff(self, staff: Staff, address: str, device: str) -> Tokens:
        """A session of a member of staff; it lasts while their roles stay the same."""
        caller = Caller(staff.id, "staff", roles=frozenset(staff.roles), session=secret_id())
        return await self._open("staff", caller, _bound(staff), address, device)

    async def _open(self, kind: SessionKind, caller: Caller, bound_to: str, address: str, device: str) -> Tokens:
        now, secret = self._clock.now(), secrets.token_urlsafe(32)
        fields = {"subject": caller.subject, "bound_to": bound_to, "address": address, "device": device}
        times = {"proved_at": now, "used_at": now, "expires_at": now + min(self._lasts[kind], self._idle[kind])}
        identity = {"id": caller.session, "kind": kind, "secret_hash": self._hash(secret)}
        session = Session.first(at=now, by=caller.label, action="opened", **identity, **fields, **times)
        await self._store.sessions.insert(session)
        return self._tokens(caller, session, secret)

    async def refresh(self, token: str) -> Tokens:
        """The next pair of tokens. Raises `RefreshInvalid`; a token that was used before ends its session."""
        identity, _, secret = token.partition(".")
        session = await self._live(identity)
        if session is None:
            raise RefreshInvalid
        caller = await self._caller(session)
        if caller is None or not same(self._hash(secret), session.secret_hash):
            await self._end(session)
            raise RefreshInvalid
        try:
            return await self._rotated(caller, session)
        except Conflict:  # the same token twice at once: one of the two is a thief's, or an impatient click's
            raise RefreshInvalid from None

    async def live(self, caller: Caller) -> Session:
        """The session that the caller's token is of, with its history. Raises `Unauthorized`."""
        session = await self._live(caller.session or "")
        if session is None or session.subject != caller.subject:
            raise Unauthorized("session_ended")
        return session

    async def prove(self, caller: Caller) -> Tokens:
        """The next pair of tokens: this session has proved just now whose it is. Raises `Unauthorized`."""
        session = await self.live(caller)
        speaks_for = await self._caller(session)
        if speaks_for is None:
            raise Unauthorized("session_ended")
        try:
            return await self._rotated(speaks_for, session, proved_at=self._clock.now())
        except Conflict:  # it was refreshed this very moment
            return await self.prove(caller)

    async def _live(self, identity: str) -> Session | None:
        session = await self._store.sessions.get(identity)
        return session if session and not session.ended and session.expires_at > self._clock.now() else None

    async def _rotated(self, caller: Caller, session: Session, **proved: datetime) -> Tokens:
        now, secret = self._clock.now(), secrets.token_urlsafe(32)
        expires = min(session.created_at + self._lasts[session.kind], now + self._idle[session.kind])
        fields = {"secret_hash": self._hash(secret), "used_at": now, "expires_at": expires, **proved}
        rotated = session.following(at=now, by=f"{session.kind}:{session.subject}", action="refreshed", **fields)
        # a history of a hundred refreshes tells nothing: how it began is enough
        await self._store.sessions.replace(rotated.model_copy(update={"history": session.history[:1]}))
        return self._tokens(caller, rotated, secret)

    async def _caller(self, session: Session) -> Caller | None:
        """Who the session speaks for, if that is still so."""
        if session.kind == "practitioner":
            certificate = await self._store.certificate_of(session.subject)
            bound = certificate is not None and certificate.state == "active"
            if certificate is None or not bound or certificate.phone_index != session.bound_to:
                return None
            return Caller(session.subject, "practitioner", session=session.id)
        staff = await self._store.staff.get(session.subject)
        if staff is None or not staff.enabled or _bound(staff) != session.bound_to:
            return None
        return Caller(staff.id, "staff", roles=frozenset(staff.roles), session=session.id)

    async def list(self, caller: Caller) -> list[Session]:
        """The caller's own sessions that can still be refreshed, newest first."""
        now = self._clock.now()
        return [session for session in await self._store.sessions_of(caller.subject) if session.expires_at > now]

    async def end(self, caller: Caller, session_id: str) -> None:
        """End one of the caller's own sessions: no refresh from now on, the access token runs out within minutes.

        Raises `NotFound`, `NotYours`, 403 `fresh_proof_required` for another than the token's; ending twice is fine.
        """
        session = await self._store.sessions.get(session_id)
        if session is None:
            raise NotFound
        if session.subject != caller.subject:
            raise NotYours
        if session_id != caller.session:
            caller.require_fresh(self._fresh_seconds, self._clock.now())
        await self._end(session)

    async def end_all(self, subject: str) -> None:
        """End all sessions of somebody: their certificate was revoked or bound to another phone."""
        for listed in await self._store.sessions_of(subject):
            if session := await self._live(listed.id):  # with its history, which a list leaves out
                await self._end(session)

    async def _end(self, session: Session) -> None:
        now = self._clock.now()
        ended = session.following(at=now, by=f"{session.kind}:{session.subject}", action="ended", ended=True)
        try:
            await self._store.sessions.replace(ended)
        except Conflict:  # it was refreshed or ended this very moment
            again = await self._live(session.id)
            if again:
                await self._end(again)

    def _tokens(self, caller: Caller, session: Session, secret: str) -> Tokens:
        proved = int((session.proved_at or session.created_at).timestamp())
        token = self._issuer.issue(replace(caller, auth_time=proved))
        return Tokens(token, self._issuer.lifetime_seconds, f"{caller.session}.{secret}", proved)

    def _hash(self, secret: str) -> str:
        return keyed_hash(self._key, "refresh", secret)


def _bound(staff: Staff) -> str:
    return ",".join(sorted(staff.roles))
