"""Authentication of staff and API clients. A refusal looks the same for every cause."""

import hmac
from contextlib import suppress
from datetime import timedelta

import pyotp

from kit.core.audit import COMMAND
from kit.core.clock import Clock
from kit.core.errors import AppError, NotFound, TooManyRequests
from kit.mongo import Conflict
from kit.observability.metrics import initialise
from kit.security import security_events
from kit.security.encryption import Cipher, constant_time_equal, keyed_hash
from kit.security.networks import neighbourhood
from kit.security.tokens import Caller, TokenIssuer
from services.identity import metrics
from services.identity.accounts.domain import Client, Staff, client_id_of, staff_id
from services.identity.accounts.passwords import LoginFailed, Passwords
from services.identity.accounts.staff import label
from services.identity.keys import claimed
from services.identity.login.sessions import Sessions, Tokens
from services.identity.store import Store
from services.identity.throttle import LoginDelays, Throttle

ARGON2_PREFIX = "$argon2"
STEP_SECONDS = 30
LOGIN_CAUSES = ("unknown_account", "account_disabled", "password_wrong", "totp_wrong")
CLIENT_CAUSES = ("unknown_client", "client_disabled", "secret_wrong", "invalid_scope")
MIN_SECRET_LENGTH = 32
"""Characters of a client secret. It is random, so a fast hash is as safe as a slow one."""


class InvalidClient(AppError):
    """Unknown or disabled client, or wrong secret: the response is the same for every cause (RFC 6749 §5.2)."""

    cause = ""

    def __init__(self, cause: str, subject: str = "") -> None:
        self.cause, self.subject = cause, subject
        super().__init__(401, "invalid_client", "客户端标识或密钥不正确", error="invalid_client")


class InvalidScope(AppError):
    """The client requested scopes that it was not granted."""

    cause = "invalid_scope"

    def __init__(self, subject: str) -> None:
        self.subject = subject
        super().__init__(400, self.cause, "申请的权限超出授权范围", error="invalid_scope")


class AccountService:
    """Logs staff in, issues tokens to API clients, and manages API clients for the `client` command."""

    def __init__(
        self,
        store: Store,
        cipher: Cipher,
        sessions: Sessions,
        issuer: TokenIssuer,
        passwords: Passwords,
        throttle: Throttle,
        delays: LoginDelays,
        key: bytes,
        clock: Clock,
    ) -> None:
        self._store = store
        self._cipher = cipher
        self._sessions = sessions
        self._issuer = issuer
        self._throttle = throttle
        self._delays = delays
        self._key = key
        self._clock = clock
        self._passwords, self._clients_published = passwords, False
        initialise(metrics.staff_logins, ["right", "wrong", "limited"])
        security_events.initialise(*LOGIN_CAUSES, event="staff_login")
        security_events.initialise(*CLIENT_CAUSES, event="client_token")
        security_events.initialise("created", "changed", "disabled", "enabled", event="client_change", outcome="done")
        security_events.initialise(
            "staff_login", "login", "login_code", "client_token", event="spray", outcome="noticed"
        )

    async def log_in(self, username: str, password: str, totp: str, address: str, device: str) -> tuple[Tokens, Staff]:
        """Open a session of staff. Raises 401 `login_failed`, the same for every cause; 429."""
        account = staff_id(username)
        security_events.attempt("staff_login", claimed(self._key, username))
        try:
            staff = await self.authenticate(account, password, totp, address, delay_key=account)
        except LoginFailed:
            metrics.staff_logins.labels("wrong").inc()
            raise
        metrics.staff_logins.labels("right").inc()
        tokens = await self._sessions.open_staff(staff, address, device)
        security_events.record("staff_login", subject=label(staff.id), opened=tokens.session_id)
        return tokens, staff

    async def authenticate(self, account: str, password: str, totp: str, address: str, delay_key: str) -> Staff:
        """The account, if password and TOTP code are right; the code is used up.

        Raises `LoginFailed`, which delays the next attempt for `delay_key`; 429.
        """
        await self._admit(delay_key, address)
        try:
            staff = await self._check_credentials(account, password, totp, address)
        except LoginFailed:
            await self._delays.failed(delay_key, address)
            raise
        await self._delays.reset(delay_key, address)
        return staff

    async def _admit(self, account: str, address: str) -> None:
        """Count an attempt of this address for this account. Raises 429."""
        try:
            await self._delays.admit(account, address)
            await self._throttle.admit_staff(account, address)
        except TooManyRequests:
            metrics.staff_logins.labels("limited").inc()
            raise

    async def _check_credentials(self, account: str, password: str, totp: str, address: str) -> Staff:
        """The account, if password and code are right. Raises `LoginFailed`, as slowly for an unknown account."""
        staff = await self._store.staff.get(account)
        stored = staff.password_hash if staff and staff.may_log_in(self._clock.now()) else None
        right = await self._passwords.matches(password, stored, neighbourhood(address))
        if staff is None:
            raise LoginFailed("unknown_account")
        if not right:
            raise LoginFailed("password_wrong" if stored else "account_disabled", label(staff.id))
        step = self._step(staff, totp)
        used = await self._use_step(staff, step) if step is not None else None
        if used is None:
            raise LoginFailed("totp_wrong", label(staff.id))
        return used

    def _step(self, staff: Staff, totp: str) -> int | None:
        """The time step of this TOTP code; None if the code is wrong or its step was used already."""
        generator = pyotp.TOTP(self._cipher.decrypt(staff.totp_sealed, f"totp:{staff.id}"))
        now = int(self._clock.now().timestamp()) // STEP_SECONDS
        steps = [step for step in (now - 1, now, now + 1) if hmac.compare_digest(generator.generate_otp(step), totp)]
        return next((step for step in steps if step > staff.last_step), None)

    async def _use_step(self, staff: Staff, step: int) -> Staff | None:
        """Store the used time step; None when another log-in was first, which makes this one a replay."""
        used = staff.logged_in(step, at=self._clock.now())
        try:
            await self._store.staff.replace(used)
        except Conflict:
            return None
        return used

    async def client_token(self, client_id: str, secret: str, scope: str, address: str) -> tuple[str, int, list[str]]:
        """Access token, lifetime in seconds, granted scopes. Raises 401 `invalid_client`, 400 `invalid_scope`, 429."""
        document_id = client_id_of(client_id)
        security_events.attempt("client_token", claimed(self._key, client_id))
        await self._throttle.admit_secret(document_id, address)
        client = await self._store.clients.get(document_id)
        if client is None or not await self._secret_matches(client, secret, address):
            await self._throttle.wrong_secret(document_id, address)
            raise _invalid(client)
        scopes = scope.split() or client.scopes
        caller = Caller(client_id, "client", scopes=frozenset(scopes))
        if not set(scopes) <= set(client.scopes):
            raise InvalidScope(caller.label)
        security_events.record("client_token", subject=caller.label)
        return self._issuer.issue(caller), self._issuer.lifetime_seconds, sorted(scopes)

    async def _secret_matches(self, client: Client, secret: str, address: str) -> bool:
        """Whether this is the current secret, or the former one within its grace period."""
        if not client.enabled:
            return False
        if await self._hash_matches(client.secret_hash, client.id, secret, address):
            return True
        former_valid = client.former_until is not None and client.former_until > self._clock.now()
        return former_valid and await self._hash_matches(client.former_hash or "", client.id, secret, address)

    async def _hash_matches(self, stored: str, client: str, secret: str, address: str) -> bool:
        """Whether the secret has this hash. Releases before 0.2 stored argon2 hashes, which count as passwords do."""
        if not stored.startswith(ARGON2_PREFIX):
            return constant_time_equal(stored, self._secret_hash(client, secret))
        await self._throttle.admit_hashing(address)
        return await self._passwords.matches(secret, stored, neighbourhood(address))

    def _secret_hash(self, client: str, secret: str) -> str:
        return keyed_hash(self._key, "client_secret", client, secret)

    async def save_client(self, client_id: str, secret: str, scopes: list[str], grace: timedelta) -> None:
        """Create or change an API client; idempotent. A replaced secret stays valid for `grace`."""
        document_id = client_id_of(client_id)
        known, secret_hash = await self._store.clients.get(document_id), self._secret_hash(document_id, secret)
        if known and sorted(known.scopes) == sorted(scopes) and known.secret_hash == secret_hash:
            return
        at, by = self._clock.now(), COMMAND
        if known:
            changed = known.replaced(secret_hash, scopes, at + grace, at=at, by=by)
            await self._store.clients.replace(changed)
        else:
            changed = Client.created(client_id, secret_hash, scopes, at=at, by=by)
            await self._store.clients.insert(changed)
        granted = " ".join(sorted(scopes))
        security_events.record("client_change", cause=changed.action, subject=f"client:{client_id}", scopes=granted)

    async def switch_client(self, client_id: str, *, enabled: bool) -> None:
        """Enable or disable an API client; its webhooks resume where they were, or pause. Raises `NotFound`."""
        known = await self._store.clients.get(client_id_of(client_id))
        if known is None:
            raise NotFound
        if known.enabled == enabled:
            return
        switched = known.switched(enabled=enabled, at=self._clock.now(), by=COMMAND)
        await self._store.clients.replace(switched)
        granted = " ".join(sorted(known.scopes)) if enabled else ""
        security_events.record("client_change", cause=switched.action, subject=f"client:{client_id}", scopes=granted)

    async def publish_clients(self) -> None:
        """Publish, once, the API clients that earlier releases created; a readiness check of the worker."""
        if not self._clients_published:
            for client in await self._store.unpublished_clients():
                with suppress(Conflict):  # another process changed or published it at the same time
                    await self._store.clients.replace(client.published(at=self._clock.now(), by=COMMAND))
            self._clients_published = True


def _invalid(client: Client | None) -> InvalidClient:
    if client is None:
        return InvalidClient("unknown_client")
    return InvalidClient("secret_wrong" if client.enabled else "client_disabled", f"client:{client.client_id}")
