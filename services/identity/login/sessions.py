"""Sessions: a short-lived access token, and a refresh token that works once and is rotated.

They are documents in MongoDB: while Redis is unavailable people can log in and stay logged in. The end of a session is
published to every process, which refuses its access token from then on (kit.security.ended_sessions).
"""

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from contracts.sessions import SENTENCES, EndReason
from kit.core.clock import Clock
from kit.core.errors import AppError, NotFound, NotYours, Unavailable
from kit.core.ids import secret_id
from kit.mongo import Conflict, retry_on_conflict
from kit.observability import log
from kit.security import security_events
from kit.security.encryption import constant_time_equal, keyed_hash
from kit.security.ended_sessions import TOKEN_SECONDS, UNKNOWN_REASON, EndedSessions
from kit.security.tokens import Caller, Ended, TokenIssuer, Unauthorized
from services.identity.accounts.domain import Staff
from services.identity.certificates.domain import Certificate
from services.identity.login.devices import Devices
from services.identity.login.domain import Session, SessionKind
from services.identity.settings import SessionSettings
from services.identity.store import Store

logger = log.get(__name__)


@dataclass(frozen=True)
class Tokens:
    """The result of a log-in, a refresh or a recent authentication; `auth_time` as in the access token."""

    session_id: str
    access_token: str
    expires_in: int
    refresh_token: str
    auth_time: int | None


class RefreshInvalid(AppError):
    """The session has ended, or the token was used before (which ends the session); `reason` is None if unknown."""

    def __init__(self, reason: EndReason | None = None) -> None:
        self.reason = reason
        self.ended = Ended(reason, SENTENCES[reason]) if reason else None
        detail = SENTENCES[reason] if reason else UNKNOWN_REASON
        super().__init__(401, "refresh_invalid", detail, headers=None, **({"reason": reason} if reason else {}))


class Sessions:
    """Opens, refreshes, lists and ends sessions."""

    def __init__(
        self,
        store: Store,
        issuer: TokenIssuer,
        ended: EndedSessions,
        settings: SessionSettings,
        fresh_seconds: int,
        key: bytes,
        clock: Clock,
        devices: Devices,
    ) -> None:
        self._devices = devices
        self._store = store
        self._issuer = issuer
        self._ended = ended
        self._key = key
        self._clock = clock
        self._fresh_seconds, self._unpublished = fresh_seconds, asyncio.Event()
        self._longest: Mapping[SessionKind, timedelta] = {
            "practitioner": timedelta(seconds=settings.practitioner_seconds),
            "staff": timedelta(seconds=settings.staff_seconds),
        }
        self._idle: Mapping[SessionKind, timedelta] = {
            "practitioner": timedelta(seconds=settings.practitioner_idle_seconds),
            "staff": timedelta(seconds=settings.staff_idle_seconds),
        }

    async def open_practitioner(
        self, certificate: Certificate, address: str, device: str, known_device: str | None = None
    ) -> Tokens:
        """Open a practitioner's session, valid while their certificate is bound to the same phone.

        `device`: the User-Agent; `known_device`: the id of the known device.
        """
        person, bound_to = certificate.practitioner_id, certificate.phone_index
        return await self._open("practitioner", person, bound_to, address, device, known_device)

    async def open_staff(self, staff: Staff, address: str, device: str) -> Tokens:
        """Open a session of staff, valid while their credentials and roles stay the same."""
        return await self._open("staff", staff.id, _bound_to(staff), address, device)

    async def _open(
        self, kind: SessionKind, subject: str, bound_to: str, address: str, device: str, known_device: str | None = None
    ) -> Tokens:
        now, secret = self._clock.now(), secrets.token_urlsafe(32)
        session = Session.opened(
            secret_id(), kind, subject, bound_to=bound_to, secret_hash=self._hash(secret), address=address,
            device=device, known_device=known_device, expires_at=now + min(self._longest[kind], self._idle[kind]),
            at=now,
        )  # fmt: skip
        await self._store.sessions.insert(session)
        caller = await self._require_valid(session)  # a revocation before the insert has not ended it
        return self._tokens(caller, session, secret)

    async def refresh(self, token: str) -> Tokens:
        """Rotate the tokens. Raises `RefreshInvalid`; a token that was used before ends its session."""
        security_events.attempt("session_refresh")
        session_id, _, secret = token.partition(".")
        session = await self._store.sessions.get(session_id)
        if session is None:
            raise RefreshInvalid
        security_events.attempt("session_refresh", session.owner)
        caller = await self._require_valid(session)
        if not constant_time_equal(self._hash(secret), session.secret_hash):
            await self._end(session.id, "token_reused")
            raise RefreshInvalid("token_reused")
        try:
            return await self._rotate(caller, session)
        except Conflict:  # the same token was used twice at the same time, by a thief or by a double click
            raise RefreshInvalid from None

    async def current(self, caller: Caller) -> tuple[Session, Caller]:
        """The session of the caller's token, and the caller with their current roles. Raises `Unauthorized`."""
        session = await self._store.sessions.get(caller.session or "")
        if session is None or session.subject != caller.subject:
            raise Unauthorized("session_ended")
        try:
            return session, await self._require_valid(session)
        except RefreshInvalid as invalid:
            raise Unauthorized("session_ended", invalid.ended) from invalid

    async def prove(self, caller: Caller) -> Tokens:
        """Rotate the tokens after an authentication in this session. Raises `Unauthorized`."""

        async def rotate() -> Tokens:
            session, owner = await self.current(caller)
            return await self._rotate(owner, session, self._clock.now())

        return await retry_on_conflict(rotate)  # it may be refreshed at the same time

    async def _require_valid(self, session: Session) -> Caller:
        """The caller of a valid session; an invalid one is ended. Raises `RefreshInvalid` with the reason."""
        try:
            return await self._caller(session)
        except RefreshInvalid as invalid:
            if invalid.reason and not session.ended:
                await self._end(session.id, invalid.reason)
            raise

    async def _rotate(self, caller: Caller, session: Session, proved_at: datetime | None = None) -> Tokens:
        now, secret = self._clock.now(), secrets.token_urlsafe(32)
        expires = min(session.created_at + self._longest[session.kind], now + self._idle[session.kind])
        rotated = session.refreshed(self._hash(secret), expires, proved_at, at=now)
        await self._store.sessions.replace(rotated)
        return self._tokens(caller, rotated, secret)

    async def _caller(self, session: Session) -> Caller:
        """The caller of a session. Raises `RefreshInvalid` when it has ended, or has to end."""
        if session.ended:
            raise RefreshInvalid(session.end_reason)
        if session.expires_at <= self._clock.now():
            latest = session.created_at + self._longest[session.kind]
            raise RefreshInvalid("idle" if session.expires_at < latest else "expired")
        if session.kind == "practitioner":
            return await self._practitioner(session)
        return await self._staff(session)

    async def _practitioner(self, session: Session) -> Caller:
        certificate = await self._store.certificate_of(session.subject)
        if certificate is None or certificate.state != "active":
            raise RefreshInvalid("certificate_revoked")
        if certificate.phone_index != session.bound_to:
            raise RefreshInvalid("phone_changed")
        return Caller(session.subject, "practitioner", session=session.id)

    async def _staff(self, session: Session) -> Caller:
        staff = await self._store.staff.get(session.subject)
        if staff is None:
            raise RefreshInvalid("staff_changed")
        if session.bound_to != _bound_to(staff) and session.id != staff.kept_session:
            raise RefreshInvalid(staff.end_reason)
        return Caller(staff.id, "staff", roles=frozenset(staff.roles_now), session=session.id)

    async def list(self, caller: Caller) -> list[Session]:
        """The caller's own sessions that can still be refreshed, newest first."""
        return await self._store.sessions_of(caller.subject, self._clock.now())

    async def end(self, caller: Caller, session_id: str) -> None:
        """End one of the caller's own sessions.

        Idempotent. Raises `NotFound`, `NotYours`, 403 `fresh_proof_required` for another session than the token's.
        """
        session = await self._store.sessions.get(session_id)
        if session is None:
            raise NotFound
        if session.subject != caller.subject:
            raise NotYours
        own = session_id == caller.session
        if not own:
            caller.require_fresh(self._fresh_seconds, self._clock.now())
        await self._end(session_id, "logged_out" if own else "ended_elsewhere")
        if session.known_device and session.known_device != await self._device_of(caller):
            await self._devices.forget(session.known_device)  # the caller does not trust that device

    async def end_others(self, caller: Caller) -> None:
        """End the caller's other sessions, and forget their other devices. Raises 403 `fresh_proof_required`."""
        caller.require_fresh(self._fresh_seconds, self._clock.now())
        await self._devices.forget_all(caller.subject, await self._device_of(caller))
        await self.end_all(caller.subject, "ended_elsewhere", caller.session)

    async def _device_of(self, caller: Caller) -> str | None:
        """The known device that the caller's session is on."""
        session = await self._store.sessions.get(caller.session or "")
        return session.known_device if session else None

    async def end_all(self, subject: str, reason: EndReason, except_id: str | None = None) -> None:
        """End all sessions of a person or member of staff but `except_id`."""
        while listed := await self._store.sessions_of(subject, self._clock.now(), except_id):
            for each in listed:
                await self._end(each.id, reason)

    async def _end(self, session_id: str, reason: EndReason) -> None:
        """End a session, and publish that to every process. A session that has ended keeps its reason."""
        ended = await retry_on_conflict(partial(self._close, session_id, reason))  # it may be refreshed meanwhile
        if ended is None:
            return
        security_events.record("session_end", cause=reason, subject=ended.owner, ended=session_id)
        try:
            await self._ended.publish(session_id, reason)
        except Unavailable:
            logger.warning("ended session not announced")
            self._unpublished.set()

    async def _close(self, session_id: str, reason: EndReason) -> Session | None:
        """The ended session; None if it had ended already, or was removed."""
        session = await self._store.sessions.get(session_id)
        if session is None or session.ended:
            return None
        ended = session.closed(reason, at=self._clock.now())
        await self._store.sessions.replace(ended)
        return ended

    async def republish_ended(self) -> None:
        """Publish ended sessions again, at the start and after Redis was unavailable; a task of the API.

        Also ends the sessions that a process which crashed after changing a certificate or account could not end.
        Raises `Unavailable`.
        """
        while True:
            self._unpublished.clear()
            since = self._clock.now() - timedelta(seconds=TOKEN_SECONDS)
            for subject in await self._store.changed_since(since):
                await self._end_outdated(subject)
            for session in await self._store.ended_since(since):
                if session.end_reason:
                    await self._ended.publish(session.id, session.end_reason)
            await self._unpublished.wait()

    async def _end_outdated(self, subject: str) -> None:
        for each in await self._store.sessions_of(subject, self._clock.now()):
            if session := await self._store.sessions.get(each.id):
                with suppress(RefreshInvalid):
                    await self._require_valid(session)

    def _tokens(self, caller: Caller, session: Session, secret: str) -> Tokens:
        proved = int((session.proved_at or session.created_at).timestamp())
        token = self._issuer.issue(replace(caller, auth_time=proved))
        return Tokens(session.id, token, self._issuer.lifetime_seconds, f"{caller.session}.{secret}", proved)

    def _hash(self, secret: str) -> str:
        return keyed_hash(self._key, "refresh", secret)


def _bound_to(staff: Staff) -> str:
    """Changes with the roles and the credentials: then the session is not valid any more."""
    credentials = f";{staff.credentials}" if staff.credentials else ""
    return ",".join(sorted(staff.roles)) + credentials
