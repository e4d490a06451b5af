"""Sessions: a short access token, and a refresh token that works once and is replaced by its successor."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from kit.auth import Caller, TokenIssuer
from kit.cache import Cache
from kit.clock import Clock
from kit.errors import AppError
from kit.ids import secret_id
from kit.seal import keyed_hash, same
from services.identity.settings import SessionSettings
from services.identity.store import Certificate, Staff, Store


@dataclass(frozen=True)
class Tokens:
    """What a log-in or a refresh gives."""

    access_token: str
    expires_in: int
    refresh_token: str


class Session(BaseModel):
    """What Redis keeps of a session. `bound_to`: the certificate's phone or the person's roles at log-in."""

    model_config = ConfigDict(frozen=True)

    id: str
    kind: Literal["practitioner", "staff"]
    subject: str
    bound_to: str
    secret_hash: str
    address: str
    device: str
    created_at: datetime
    used_at: datetime


class RefreshInvalid(AppError):
    """The session is over, or the token was used before (which ends the session)."""

    def __init__(self) -> None:
        super().__init__(401, "refresh_invalid", "登录已失效，请重新登录")


class Sessions:
    """Opens, refreshes and ends sessions."""

    def __init__(
        self, store: Store, cache: Cache, issuer: TokenIssuer, settings: SessionSettings, key: bytes, clock: Clock
    ) -> None:
        self._store, self._cache, self._issuer, self._key, self._clock = store, cache, issuer, key, clock
        self._seconds = {"practitioner": settings.practitioner_seconds, "staff": settings.staff_seconds}

    async def open_practitioner(self, certificate: Certificate, address: str, device: str) -> Tokens:
        """A session of a practitioner; it lasts while their certificate is bound to the same phone."""
        caller = Caller(certificate.practitioner_id, "practitioner", session=secret_id())
        return await self._open(caller, certificate.phone_index, address, device)

    async def open_staff(self, staff: Staff, address: str, device: str) -> Tokens:
        """A session of a member of staff; it lasts while their roles stay the same."""
        caller = Caller(staff.id, "staff", roles=frozenset(staff.roles), session=secret_id())
        return await self._open(caller, _bound(staff), address, device)

    async def _open(self, caller: Caller, bound_to: str, address: str, device: str) -> Tokens:
        now, secret = self._clock.now(), secrets.token_urlsafe(32)
        session = Session(
            id=str(caller.session),
            kind="staff" if caller.kind == "staff" else "practitioner",
            subject=caller.subject,
            bound_to=bound_to,
            secret_hash=self._hash(secret),
            address=address,
            device=device,
            created_at=now,
            used_at=now,
        )
        await self._cache.put(f"session:{session.id}", session.model_dump_json(), self._seconds[session.kind])
        return self._tokens(caller, secret)

    async def refresh(self, token: str) -> Tokens:
        """The next pair of tokens. Raises `RefreshInvalid`; a token that was used before ends its session."""
        identity, _, secret = token.partition(".")
        stored = await self._cache.get(f"session:{identity}")
        if stored is None:
            raise RefreshInvalid
        session = Session.model_validate_json(stored)
        caller = await self._caller(session)
        if caller is None or not same(self._hash(secret), session.secret_hash):
            await self._cache.drop(f"session:{identity}")
            raise RefreshInvalid
        following = secrets.token_urlsafe(32)
        used = {"secret_hash": self._hash(following), "used_at": self._clock.now()}
        rotated = session.model_copy(update=used).model_dump_json()
        if not await self._cache.swap(f"session:{identity}", stored, rotated, self._seconds[session.kind]):
            raise RefreshInvalid  # the same token twice at once: one of the two is a thief's, or an impatient click's
        return self._tokens(caller, following)

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

    async def end(self, session_id: str | None) -> None:
        """Log out: no refresh from now on; the access token runs out within its minutes."""
        if session_id:
            await self._cache.drop(f"session:{session_id}")

    def _tokens(self, caller: Caller, secret: str) -> Tokens:
        return Tokens(self._issuer.issue(caller), self._issuer.lifetime_seconds, f"{caller.session}.{secret}")

    def _hash(self, secret: str) -> str:
        return keyed_hash(self._key, "refresh", secret)


def _bound(staff: Staff) -> str:
    return ",".join(sorted(staff.roles))
