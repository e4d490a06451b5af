"""Staff and API clients: passwords with TOTP, secrets with scopes. The same answer for every cause of a refusal."""

import asyncio
import hmac
from datetime import timedelta

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from kit import metrics
from kit.auth import Caller, TokenIssuer
from kit.cache import RateLimits, Rule
from kit.clock import Clock
from kit.errors import AppError, TooManyRequests
from kit.ids import derived_id
from kit.mongo import Conflict
from kit.seal import Sealer
from services.identity.sessions import Sessions, Tokens
from services.identity.store import Client, Staff, Store
from services.identity.throttle import TOO_OFTEN, Delays

ROLES = ("clerk", "admin", "operator")
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # OWASP's minimum
NOBODY = HASHER.hash("nobody has this password")
STEP_SECONDS = 30
COMMAND = "command"  # who changes accounts: somebody at the command line
TRIES = [Rule(10, 60), Rule(60, 3600)]


class Passwords:
    """argon2 on threads, a few at a time: each takes 19 MiB and 24 ms of a core."""

    def __init__(self, at_once: int = 2) -> None:
        self._room = asyncio.Semaphore(at_once)

    async def hash(self, password: str) -> str:
        """The hash to keep."""
        async with self._room:
            return await asyncio.to_thread(HASHER.hash, password)

    async def fits(self, password: str, kept: str | None) -> bool:
        """Whether the password is the one behind `kept`; takes as long when there is none."""
        async with self._room:
            fits = await asyncio.to_thread(_verify, kept or NOBODY, password)
        return fits and kept is not None


def _verify(kept: str, password: str) -> bool:
    try:
        return HASHER.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


class AccountService:
    """Logs staff in, gives tokens to clients, and keeps both (by command line)."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        sessions: Sessions,
        issuer: TokenIssuer,
        limits: RateLimits,
        delays: Delays,
        clock: Clock,
    ) -> None:
        self._store, self._sealer, self._sessions, self._issuer = store, sealer, sessions, issuer
        self._limits, self._delays, self._clock, self._passwords = limits, delays, clock, Passwords()
        metrics.begin(metrics.staff_logins, ["right", "wrong", "limited"])

    async def log_in(self, username: str, password: str, totp: str, address: str, device: str) -> tuple[Tokens, Staff]:
        """Tokens, and whose they are. Raises 401 `login_failed`, the same for every cause; 429."""
        account = _staff_id(username)
        await self._admit(account, address)
        staff = await self._proved(account, password, totp)
        if staff is None:
            await self._delays.failed(account, address)
            metrics.staff_logins.labels("wrong").inc()
            raise AppError(401, "login_failed", "用户名、密码或动态口令不正确")
        await self._delays.forget(account, address)
        metrics.staff_logins.labels("right").inc()
        return await self._sessions.open_staff(staff, address, device), staff

    async def _admit(self, account: str, address: str) -> None:
        """May this address try this account now? Raises 429."""
        try:
            await self._delays.admit(account, address)
            await self._limits.hit(TRIES, "staff", account, sentence=TOO_OFTEN)
        except TooManyRequests:
            metrics.staff_logins.labels("limited").inc()
            raise

    async def _proved(self, account: str, password: str, totp: str) -> Staff | None:
        """The member of staff with this password and this code; it takes as long when there is none."""
        staff = await self._store.staff.get(account)
        known = staff.password_hash if staff and staff.enabled else None
        right = await self._passwords.fits(password, known)
        step = self._step(staff, totp)
        if staff is None or not right or step is None or not await self._spend(staff, step):
            return None
        return staff

    def _step(self, staff: Staff | None, totp: str) -> int | None:
        """The time step whose code this is, if it is later than any that was used."""
        if staff is None:
            return None
        generator = pyotp.TOTP(self._sealer.open(staff.totp_sealed, f"totp:{staff.id}"))
        now = int(self._clock.now().timestamp()) // STEP_SECONDS
        steps = [step for step in (now - 1, now, now + 1) if hmac.compare_digest(generator.generate_otp(step), totp)]
        return next((step for step in steps if step > staff.last_step), None)

    async def _spend(self, staff: Staff, step: int) -> bool:
        """A code works once: whoever loses the race is a replay."""
        used = staff.following(at=self._clock.now(), by=f"staff:{staff.id}", action="logged_in", last_step=step)
        try:
            await self._store.staff.replace(used)
        except Conflict:
            return False
        return True

    async def client_token(self, client_id: str, secret: str, wanted: str) -> tuple[str, int, list[str]]:
        """Access token, its seconds, and the scopes granted. Raises 401 `invalid_client`, 400 `invalid_scope`, 429."""
        await self._limits.hit([Rule(120, 60)], "client", client_id, sentence=TOO_OFTEN)
        client = await self._store.clients.get(_client_id(client_id))
        if not await self._secret_fits(client, secret) or client is None:
            raise AppError(401, "invalid_client", "客户端标识或密钥不正确", error="invalid_client")
        scopes = wanted.split() or client.scopes
        if not set(scopes) <= set(client.scopes):
            raise AppError(400, "invalid_scope", "申请的权限超出授权范围", error="invalid_scope")
        caller = Caller(client_id, "client", scopes=frozenset(scopes))
        return self._issuer.issue(caller), self._issuer.lifetime_seconds, sorted(scopes)

    async def _secret_fits(self, client: Client | None, secret: str) -> bool:
        """The secret of now, or the one before it while it may still be used; takes as long without a client."""
        if client is None or not client.enabled:
            return await self._passwords.fits(secret, None)
        if await self._passwords.fits(secret, client.secret_hash):
            return True
        rotating = client.former_until is not None and client.former_until > self._clock.now()
        return rotating and await self._passwords.fits(secret, client.former_hash)

    async def keep_staff(self, username: str, password: str, totp_secret: str, roles: list[str]) -> None:
        """Create or change a member of staff; the same again changes nothing."""
        known = await self._store.staff.get(_staff_id(username))
        if known and await self._unchanged(known, password, totp_secret, roles):
            return
        fields = {
            "username": username,
            "password_hash": await self._passwords.hash(password),
            "totp_sealed": self._sealer.seal(totp_secret, f"totp:{_staff_id(username)}"),
            "roles": roles,
        }
        at, by = self._clock.now(), "command"
        if known:
            await self._store.staff.replace(known.following(at=at, by=by, action="changed", **fields))
        else:
            await self._store.staff.insert(
                Staff.first(at=at, by=by, action="created", id=_staff_id(username), **fields)
            )

    async def _unchanged(self, staff: Staff, password: str, totp_secret: str, roles: list[str]) -> bool:
        same_totp = self._sealer.open(staff.totp_sealed, f"totp:{staff.id}") == totp_secret
        same_roles = sorted(staff.roles) == sorted(roles)
        return same_totp and same_roles and await self._passwords.fits(password, staff.password_hash)

    async def keep_client(self, client_id: str, secret: str, scopes: list[str], grace: timedelta) -> None:
        """Create or change an API client; the same again changes nothing. A secret replaced works on for `grace`."""
        known = await self._store.clients.get(_client_id(client_id))
        if known and sorted(known.scopes) == sorted(scopes) and await self._passwords.fits(secret, known.secret_hash):
            return
        fields = {"client_id": client_id, "secret_hash": await self._passwords.hash(secret), "scopes": scopes}
        at, by = self._clock.now(), "command"
        if known:
            former = {"former_hash": known.secret_hash, "former_until": at + grace}
            await self._store.clients.replace(known.following(at=at, by=by, action="changed", **fields, **former))
        else:
            await self._store.clients.insert(
                Client.first(at=at, by=by, action="created", id=_client_id(client_id), **fields)
            )


def _staff_id(username: str) -> str:
    return derived_id("staff", username)


def _client_id(client_id: str) -> str:
    return derived_id("client", client_id)
