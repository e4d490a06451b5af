"""Staff and API clients: passwords with TOTP, secrets with scopes. The same answer for every cause of a refusal."""

import hmac
from contextlib import suppress
from datetime import timedelta

import pyotp

from kit.core.clock import Clock
from kit.core.errors import AppError, NotFound, TooManyRequests
from kit.mongo import Conflict
from kit.observability.metrics import initialise
from kit.security import security_events
from kit.security.encryption import Cipher, constant_time_equal, keyed_hash
from kit.security.networks import neighbourhood
from kit.security.tokens import Caller, TokenIssuer
from services.identity import metrics
from services.identity.accounts.command_events import COMMAND
from services.identity.accounts.domain import Client, Staff, client_id_of, staff_id
from services.identity.accounts.passwords import LoginFailed, Passwords
from services.identity.accounts.staff import label
from services.identity.keys import claimed
from services.identity.login.sessions import Sessions, Tokens
from services.identity.store import Store
from services.identity.throttle import LoginDelays, Throttle

SLOW = "$argon2"
STEP_SECONDS = 30
LOGIN_CAUSES = ("unknown_account", "account_disabled", "password_wrong", "totp_wrong")
CLIENT_CAUSES = ("unknown_client", "client_disabled", "secret_wrong", "invalid_scope")
MIN_SECRET_LENGTH = 32
"""Characters of a client secret. It is made at random, so a fast hash keeps it as safe as a slow one."""


class InvalidClient(AppError):
    """The same answer for every cause (RFC 6749 §5.2)."""

    cause = ""

    def __init__(self, cause: str, subject: str = "") -> None:
        self.cause, self.subject = cause, subject
        super().__init__(401, "invalid_client", "客户端标识或密钥不正确", error="invalid_client")


class InvalidScope(AppError):
    """More than the client was granted."""

    cause = "invalid_scope"

    def __init__(self, subject: str) -> None:
        self.subject = subject
        super().__init__(400, self.cause, "申请的权限超出授权范围", error="invalid_scope")


class AccountService:
    """Logs staff in, gives tokens to clients, and keeps these (by command line)."""

    def __init__(
        self,
        store: Store,
        sealer: Cipher,
        sessions: Sessions,
        issuer: TokenIssuer,
        passwords: Passwords,
        throttle: Throttle,
        delays: LoginDelays,
        key: bytes,
        clock: Clock,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._sessions = sessions
        self._issuer = issuer
        self._throttle = throttle
        self._delays = delays
        self._key = key
        self._clock = clock
        self._passwords, self._told = passwords, False
        initialise(metrics.staff_logins, ["right", "wrong", "limited"])
        security_events.initialise(*LOGIN_CAUSES, event="staff_login")
        security_events.initialise(*CLIENT_CAUSES, event="client_token")
        security_events.initialise("created", "changed", "disabled", "enabled", event="client_change", outcome="done")
        security_events.initialise(
            "staff_login", "login", "login_code", "client_token", event="spray", outcome="noticed"
        )

    async def log_in(self, username: str, password: str, totp: str, address: str, device: str) -> tuple[Tokens, Staff]:
        """Tokens, and whose they are. Raises 401 `login_failed`, the same for every cause; 429."""
        account = staff_id(username)
        security_events.attempt("staff_login", claimed(self._key, username))
        try:
            staff = await self.proved(account, password, totp, address, counted=account)
        except LoginFailed:
            metrics.staff_logins.labels("wrong").inc()
            raise
        metrics.staff_logins.labels("right").inc()
        tokens = await self._sessions.open_staff(staff, address, device)
        security_events.record("staff_login", subject=label(staff.id), opened=tokens.session_id)
        return tokens, staff

    async def proved(self, account: str, password: str, totp: str, address: str, counted: str) -> Staff:
        """Whose password and code these are; the code is spent. Raises `LoginFailed`, which delays `counted`; 429."""
        await self._admit(counted, address)
        try:
            staff = await self._with_both(account, password, totp, address)
        except LoginFailed:
            await self._delays.failed(counted, address)
            raise
        await self._delays.forget(counted, address)
        return staff

    async def _admit(self, account: str, address: str) -> None:
        """May this address try this account now? Raises 429."""
        try:
            await self._delays.admit(account, address)
            await self._throttle.admit_staff(account, address)
        except TooManyRequests:
            metrics.staff_logins.labels("limited").inc()
            raise

    async def _with_both(self, account: str, password: str, totp: str, address: str) -> Staff:
        """Who this account is of, if both are right. Raises `LoginFailed`, after as long when there is none."""
        staff = await self._store.staff.get(account)
        known = staff.password_hash if staff and staff.admitted(self._clock.now()) else None
        right = await self._passwords.fits(password, known, neighbourhood(address))
        if staff is None:
            raise LoginFailed("unknown_account")
        if not right:
            raise LoginFailed("password_wrong" if known else "account_disabled", label(staff.id))
        step = self._step(staff, totp)
        used = await self._spent(staff, step) if step is not None else None
        if used is None:
            raise LoginFailed("totp_wrong", label(staff.id))
        return used

    def _step(self, staff: Staff, totp: str) -> int | None:
        """The time step whose code this is, if it is later than any that was used."""
        generator = pyotp.TOTP(self._sealer.open(staff.totp_sealed, f"totp:{staff.id}"))
        now = int(self._clock.now().timestamp()) // STEP_SECONDS
        steps = [step for step in (now - 1, now, now + 1) if hmac.compare_digest(generator.generate_otp(step), totp)]
        return next((step for step in steps if step > staff.last_step), None)

    async def _spent(self, staff: Staff, step: int) -> Staff | None:
        """A code works once: of two uses at the same time the second is refused as a replay."""
        used = staff.logged_in(step, at=self._clock.now())
        try:
            await self._store.staff.replace(used)
        except Conflict:
            return None
        return used

    async def client_token(self, client_id: str, secret: str, wanted: str, address: str) -> tuple[str, int, list[str]]:
        """Access token, its seconds, and the scopes granted. Raises 401 `invalid_client`, 400 `invalid_scope`, 429."""
        identity = client_id_of(client_id)
        security_events.attempt("client_token", claimed(self._key, client_id))
        await self._throttle.admit_secret(identity, address)
        client = await self._store.clients.get(identity)
        if client is None or not await self._secret_fits(client, secret, address):
            await self._throttle.wrong_secret(identity, address)
            raise _invalid(client)
        scopes = wanted.split() or client.scopes
        caller = Caller(client_id, "client", scopes=frozenset(scopes))
        if not set(scopes) <= set(client.scopes):
            raise InvalidScope(caller.label)
        security_events.record("client_token", subject=caller.label)
        return self._issuer.issue(caller), self._issuer.lifetime_seconds, sorted(scopes)

    async def _secret_fits(self, client: Client, secret: str, address: str) -> bool:
        """The secret of now, or the one before it while it may still be used."""
        if not client.enabled:
            return False
        if await self._is(client.secret_hash, client.id, secret, address):
            return True
        rotating = client.former_until is not None and client.former_until > self._clock.now()
        return rotating and await self._is(client.former_hash or "", client.id, secret, address)

    async def _is(self, kept: str, client: str, secret: str, address: str) -> bool:
        """Whether this is the secret. What was kept before 0.2 is a slow hash: it counts as a password does."""
        if not kept.startswith(SLOW):
            return constant_time_equal(kept, self._kept(client, secret))
        await self._throttle.admit_hashing(address)
        return await self._passwords.fits(secret, kept, neighbourhood(address))

    def _kept(self, client: str, secret: str) -> str:
        return keyed_hash(self._key, "client_secret", client, secret)

    async def keep_client(self, client_id: str, secret: str, scopes: list[str], grace: timedelta) -> None:
        """Create or change an API client; the same again changes nothing. A secret replaced works on for `grace`."""
        identity = client_id_of(client_id)
        known, kept = await self._store.clients.get(identity), self._kept(identity, secret)
        if known and sorted(known.scopes) == sorted(scopes) and known.secret_hash == kept:
            return
        at, by = self._clock.now(), COMMAND
        if known:
            changed = known.replaced(kept, scopes, at + grace, at=at, by=by)
            await self._store.clients.replace(changed)
        else:
            changed = Client.created(client_id, kept, scopes, at=at, by=by)
            await self._store.clients.insert(changed)
        granted = " ".join(sorted(scopes))
        security_events.record("client_change", cause=changed.action, subject=f"client:{client_id}", scopes=granted)

    async def switch_client(self, client_id: str, *, enabled: bool) -> None:
        """Give it tokens no more, or again; its webhooks stop, or go on where they were. Raises `NotFound`."""
        known = await self._store.clients.get(client_id_of(client_id))
        if known is None:
            raise NotFound
        if known.enabled == enabled:
            return
        switched = known.switched(enabled=enabled, at=self._clock.now(), by=COMMAND)
        await self._store.clients.replace(switched)
        granted = " ".join(sorted(known.scopes)) if enabled else ""
        security_events.record("client_change", cause=switched.action, subject=f"client:{client_id}", scopes=granted)

    async def tell_clients(self) -> None:
        """Publish, once, those that earlier versions made; a readiness check of the worker."""
        if not self._told:
            for client in await self._store.untold_clients():
                with suppress(Conflict):  # another process changed or published it at the same time
                    await self._store.clients.replace(client.published(at=self._clock.now(), by=COMMAND))
            self._told = True


def _invalid(client: Client | None) -> InvalidClient:
    if client is None:
        return InvalidClient("unknown_client")
    return InvalidClient("secret_wrong" if client.enabled else "client_disabled", f"client:{client.client_id}")
