"""Passkeys of staff: added with password and TOTP code, used in place of both (decision 0062)."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from kit.core.clock import Clock
from kit.core.errors import AppError, TooManyRequests
from kit.core.ids import new_id, secret_id
from kit.mongo import Duplicate, retry_on_conflict
from kit.redis import Cache
from kit.security import security_events
from kit.security.passkeys import Credential, Options, PasskeyRefused, RelyingParty, Response
from kit.security.tokens import Caller
from services.identity import metrics
from services.identity.accounts.domain import Passkey, Staff
from services.identity.accounts.passwords import LoginFailed
from services.identity.accounts.staff import StaffAccounts, label
from services.identity.login.sessions import Sessions, Tokens
from services.identity.store import Store
from services.identity.throttle import LoginDelays, Throttle

MAX_PASSKEYS = 10
"""Of one account."""
LOGIN = "login"
LOGIN_CAUSES = ("challenge_invalid", "passkey_unknown", "passkey_wrong", "passkey_copied")


class PasskeyFailed(LoginFailed):
    """A log-in with a passkey is refused; the response is the same for every cause."""

    sentence = "通行密钥登录失败或已超时，请重试，或使用密码和动态口令登录"


@dataclass(frozen=True)
class PasskeyChallenge:
    """What a browser is asked for, once and until `expires_at`."""

    id: str
    options: Options
    expires_at: datetime


class Passkeys:
    """Adds passkeys, and logs staff in with them. `lifetime`: of a challenge, in seconds."""

    def __init__(
        self,
        store: Store,
        site: RelyingParty,
        cache: Cache,
        staff: StaffAccounts,
        sessions: Sessions,
        throttle: Throttle,
        delays: LoginDelays,
        clock: Clock,
        lifetime: int,
    ) -> None:
        self._store = store
        self._site = site
        self._cache = cache
        self._staff = staff
        self._sessions = sessions
        self._throttle, self._delays = throttle, delays
        self._clock = clock
        self._lifetime = lifetime
        security_events.initialise(*LOGIN_CAUSES, event="staff_login")

    async def begin_login(self, address: str) -> PasskeyChallenge:
        """A challenge that any passkey may answer. Raises 429; 503 while Redis is unavailable."""
        await self._throttle.admit(address)
        return await self._keep(LOGIN, *self._site.login())

    async def log_in(self, challenge_id: str, response: Response, address: str, device: str) -> tuple[Tokens, Staff]:
        """Open a session of staff. Raises 401 `login_failed`, the same for every cause; 429."""
        security_events.attempt("staff_login")
        try:
            staff, passkey = await self._authenticate(challenge_id, response, address)
        except TooManyRequests:
            metrics.staff_logins.labels("limited").inc()
            raise
        except PasskeyFailed:
            metrics.staff_logins.labels("wrong").inc()
            raise
        metrics.staff_logins.labels("right").inc()
        tokens = await self._sessions.open_staff(staff, address, device)
        security_events.record("staff_login", subject=label(staff.id), opened=tokens.session_id, passkey=passkey)
        return tokens, staff

    async def _authenticate(self, challenge_id: str, response: Response, address: str) -> tuple[Staff, str]:
        """The account, and the id of its passkey. Failures delay the next attempt as those with a password do."""
        await self._throttle.admit(address)
        challenge = await self._take(challenge_id, LOGIN)
        staff = await self._store.staff_with_passkey(str(response["rawId"]))
        if staff is None:
            raise PasskeyFailed("passkey_unknown")
        key = f"passkey:{staff.id}"
        await self._delays.admit(key, address)
        try:
            if challenge is None:
                raise PasskeyFailed("challenge_invalid", label(staff.id))
            used = await retry_on_conflict(partial(self._use, staff.id, challenge, response))
        except PasskeyFailed:
            await self._delays.failed(key, address)
            raise
        await self._delays.reset(key, address)
        return used

    async def _use(self, account: str, challenge: str, response: Response) -> tuple[Staff, str]:
        """Check the response, and store the new counter. Raises `PasskeyFailed`; `Conflict` in a race."""
        staff = await self._store.staff.get(account)
        passkey = _with_credential(staff, str(response["rawId"])) if staff else None
        if staff is None or passkey is None:
            raise PasskeyFailed("passkey_unknown")
        who = label(staff.id)
        if not staff.may_log_in(self._clock.now()):
            raise PasskeyFailed("account_disabled", who)
        try:
            given = self._site.authenticate(challenge, passkey.key, response)
        except PasskeyRefused as refused:
            raise PasskeyFailed("passkey_wrong", who) from refused
        if given.user is not None and given.user != staff.id:
            raise PasskeyFailed("passkey_wrong", who)
        if given.shows_a_copy(passkey.sign_count):
            raise PasskeyFailed("passkey_copied", who)
        used = staff.passkey_used(passkey.id, given.sign_count, at=self._clock.now())
        await self._store.staff.replace(used)
        return used, passkey.id

    async def begin(self, caller: Caller, password: str, totp: str, address: str) -> PasskeyChallenge:
        """A challenge for a new passkey of the caller, who gives both factors again.

        Raises 403 `credentials_wrong`, 409 `too_many_passkeys`, `password_change_required`, 429.
        """
        staff = await self._staff.prove(caller, password, totp, address)
        _require_room(staff)
        known = [each.credential_id for each in staff.passkeys]
        return await self._keep(_purpose(caller, staff), *self._site.registration(staff.id, staff.username, known))

    async def add(self, caller: Caller, challenge_id: str, name: str, response: Response) -> Passkey:
        """Add the passkey that the browser created for `begin`.

        Raises 403, 409 `passkey_known`, `too_many_passkeys`, 422 `passkey_refused`.
        """
        security_events.attempt("account_change", caller.label)
        staff = await self._store.staff.get(caller.subject) if caller.kind == "staff" else None
        if staff is None or caller.session is None:
            raise AppError(403, "forbidden", "您没有权限进行此操作")
        challenge = await self._take(challenge_id, _purpose(caller, staff))
        if challenge is None:
            raise _refused()
        try:
            credential = self._site.register(challenge, response)
        except PasskeyRefused as refused:
            raise _refused() from refused
        passkey = self._passkey(name, credential)
        try:
            await retry_on_conflict(partial(self._add, staff, passkey, caller.label))
        except Duplicate as known:
            raise _known() from known
        roles = " ".join(sorted(staff.roles))
        security_events.record(
            "account_change", cause="passkey_added", subject=caller.label, roles=roles, passkey=passkey.id
        )
        return passkey

    async def _add(self, before: Staff, passkey: Passkey, by: str) -> None:
        staff = await self._store.staff.get(before.id)
        if staff is None or staff.credentials != before.credentials:  # a concurrent reset or disable takes precedence
            raise _refused()
        _require_room(staff)
        if _with_credential(staff, passkey.credential_id):
            raise _known()
        await self._store.staff.replace(staff.passkey_added(passkey, at=self._clock.now(), by=by))

    def _passkey(self, name: str, made: Credential) -> Passkey:
        return Passkey(
            id=new_id(), name=name, credential_id=made.id, key=made.key, sign_count=made.sign_count,
            synced=made.synced, created_at=self._clock.now(),
        )  # fmt: skip

    async def _keep(self, purpose: str, options: Options, challenge: str) -> PasskeyChallenge:
        challenge_id = secret_id()
        await self._cache.put(_key(challenge_id), json.dumps([purpose, challenge]), self._lifetime)
        return PasskeyChallenge(challenge_id, options, self._clock.now() + timedelta(seconds=self._lifetime))

    async def _take(self, challenge_id: str, purpose: str) -> str | None:
        """The challenge, which can't be used again; None if it is unknown or was made for something else."""
        kept = await self._cache.take(_key(challenge_id))
        made_for, challenge = json.loads(kept) if kept else ("", "")
        return challenge if made_for == purpose else None


def _key(challenge_id: str) -> str:
    return f"passkey:{challenge_id}"


def _purpose(caller: Caller, staff: Staff) -> str:
    """A registration belongs to the session in which it began, and to the credentials that were proved."""
    return f"{staff.id}:{caller.session}:{staff.credentials}"


def _with_credential(staff: Staff, credential_id: str) -> Passkey | None:
    return next((each for each in staff.passkeys if each.credential_id == credential_id), None)


def _require_room(staff: Staff) -> None:
    if staff.password_until:  # the admin who issued it knows both factors
        raise AppError(409, "password_change_required", "请先设置自己的密码，再添加通行密钥")
    if len(staff.passkeys) >= MAX_PASSKEYS:
        raise AppError(409, "too_many_passkeys", f"最多可以有{MAX_PASSKEYS}个通行密钥，请先移除不用的")


def _known() -> AppError:
    return AppError(409, "passkey_known", "这个通行密钥已经添加过")


def _refused() -> AppError:
    return AppError(422, "passkey_refused", "通行密钥没有添加成功或已超时，请重新添加")
