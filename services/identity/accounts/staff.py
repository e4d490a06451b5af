"""Accounts of staff: created and changed by command, disabled and reset by admins; owners change their password.

Every change ends the sessions of the account at once, and records a security event.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import pyotp

from kit.core.audit import COMMAND
from kit.core.clock import Clock
from kit.core.errors import AppError, InvalidFields, NotFound
from kit.mongo import Cursor, Duplicate, retry_on_conflict
from kit.security import security_events
from kit.security.encryption import Cipher
from kit.security.tokens import ADMIN, Caller
from services.identity.accounts.domain import END_REASONS, Passkey, Staff, TemporaryPassword, staff_id
from services.identity.accounts.passwords import LoginFailed, Passwords, check_choice
from services.identity.login.sessions import Sessions, Tokens
from services.identity.store import Store

ROLES = ("clerk", "admin", "operator")
ISSUER = "从业人员自助服务"
"""The name that an authenticator app shows with the code."""
TEMPORARY_PASSWORD_BYTES = 12
TEMPORARY_PASSWORD_LIFETIME = timedelta(days=1)

Change = Callable[[Staff, datetime], Staff | None]
"""Returns the next version of an account at a given time, or None for no change."""
Authenticate = Callable[[str, str, str, str, str], Awaitable[Staff]]
"""`AccountService.authenticate`."""


@dataclass(frozen=True)
class NewCredentials:
    """Generated credentials, to be handed to their owner; returned once and stored only encrypted or hashed."""

    password: str | None
    password_until: datetime | None
    totp_secret: str | None
    totp_uri: str | None


class StaffAccounts:
    """Manages the accounts of staff."""

    def __init__(
        self,
        store: Store,
        cipher: Cipher,
        sessions: Sessions,
        passwords: Passwords,
        authenticate: Authenticate,
        clock: Clock,
    ) -> None:
        self._store = store
        self._cipher = cipher
        self._sessions = sessions
        self._passwords = passwords
        self._authenticate = authenticate
        self._clock = clock
        security_events.initialise("created", "passkey_added", *END_REASONS, event="account_change", outcome="done")
        security_events.initialise("credentials_wrong", event="account_change")

    async def save(self, username: str, password: str, totp_secret: str, roles: list[str]) -> None:
        """Create or change an account without approval; idempotent. Raises `InvalidFields`."""
        if not await self.is_unchanged(username, password, totp_secret, roles):
            known = await self._store.staff.get(staff_id(username))
            protected = await self.protected(username, password, totp_secret)
            await self.replace(username, *protected, roles, COMMAND, known.credentials if known else None)

    async def is_unchanged(self, username: str, password: str, totp_secret: str, roles: list[str]) -> bool:
        """Whether the account exists with these credentials and roles."""
        staff = await self._store.staff.get(staff_id(username))
        if staff is None or sorted(staff.roles) != sorted(roles):
            return False
        same_totp = self._cipher.decrypt(staff.totp_sealed, f"totp:{staff.id}") == totp_secret
        return same_totp and await self._passwords.matches(password, staff.password_hash)

    async def protected(self, username: str, password: str, totp_secret: str) -> tuple[str, str]:
        """The hashed password and the encrypted TOTP secret of an account. Raises `InvalidFields`."""
        check_choice(password, username, "password")
        return await self._passwords.hash(password), self._cipher.encrypt(totp_secret, f"totp:{staff_id(username)}")

    async def replace(
        self, username: str, password_hash: str, totp_sealed: str, roles: list[str], by: str, expected: int | None
    ) -> None:
        """Create an account (`expected` is None), or replace credentials and roles. Raises `Outdated`."""
        if expected is None:
            await self._insert(Staff.created(username, password_hash, totp_sealed, roles, at=self._clock.now(), by=by))
            return
        await self._change(
            staff_id(username), lambda staff, at: staff.replaced(password_hash, totp_sealed, roles, at=at, by=by),
            expected,
        )  # fmt: skip

    async def create(self, username: str, roles: list[str], by: str) -> NewCredentials:
        """Create an account with generated credentials. Raises `Outdated` if it exists."""
        at = self._clock.now()
        new = _generated(username, at)
        password_hash = await self._passwords.hash(new.password or "")
        totp_sealed = self._cipher.encrypt(new.totp_secret or "", f"totp:{staff_id(username)}")
        until = new.password_until
        await self._insert(
            Staff.created(username, password_hash, totp_sealed, roles, at=at, by=by, password_until=until)
        )
        return new

    async def _insert(self, created: Staff) -> None:
        try:
            await self._store.staff.insert(created)
        except Duplicate as exists:
            raise Outdated from exists
        _record("created", created.id, created.roles)

    async def change_roles(self, account: str, roles: list[str], by: str, expected: int | None) -> None:
        """Give an account other roles. Raises `NotFound`, `Outdated`."""

        def change(staff: Staff, at: datetime) -> Staff | None:
            return staff.with_roles(roles, at=at, by=by) if sorted(staff.roles) != sorted(roles) else None

        await self._change(account, change, expected)

    async def page(self, caller: Caller, after: Cursor | None, limit: int) -> tuple[list[Staff], Cursor | None]:
        """A page of all accounts, newest first, and the cursor of the next page."""
        caller.require(role=ADMIN)
        return await self._store.staff.newest({}, after, limit)

    async def disable(self, caller: Caller, account: str) -> Staff:
        """Disable an account. Raises 409 for the caller's own account, and for the last admin's."""
        _require_other(caller, account)
        disabled = await self.switch(account, caller.label, enabled=False)
        if not await self._store.has_admin(self._clock.now()):  # two admins may disable each other at the same time
            await self.switch(account, caller.label, enabled=True)
            raise AppError(409, "last_admin", "至少须保留一名可以登录的管理员")
        return disabled

    async def enable(self, caller: Caller, account: str) -> Staff:
        """Enable an account again, with the same credentials.

        Raises 409 for the caller's own account, and `approval_required` for an admin's.
        """
        _require_other(caller, account)
        await self._require_no_admin(account)
        return await self.switch(account, caller.label, enabled=True)

    async def _require_no_admin(self, account: str) -> None:
        """Raises 409 `approval_required` for an admin's account (decision 0063), `NotFound`."""
        if ADMIN in (await self._get(account)).roles:
            raise AppError(
                409, "approval_required", "管理员账号的启用和重置须由另一名管理员批准，请在“账号审批”中提出申请"
            )

    async def switch(self, account: str, by: str, *, enabled: bool, expected: int | None = None) -> Staff:
        """Enable or disable an account; idempotent. Raises `NotFound`; `Outdated` if `expected` is given."""

        def switch(staff: Staff, at: datetime) -> Staff | None:
            return staff.switched(enabled=enabled, at=at, by=by) if staff.enabled != enabled else None

        return await self._change(account, switch, expected)

    async def reset(
        self, caller: Caller, account: str, *, password: bool, totp: bool, passkeys: bool
    ) -> NewCredentials:
        """Generate a temporary password or a TOTP secret, remove passkeys.

        Raises 409 for the caller's own account, and `approval_required` for an admin's.
        """
        _require_other(caller, account)
        await self._require_no_admin(account)
        return await self.replace_credentials(account, caller.label, password=password, totp=totp, passkeys=passkeys)

    async def replace_credentials(
        self, account: str, by: str, *, password: bool, totp: bool, passkeys: bool, expected: int | None = None
    ) -> NewCredentials:
        """Replace password (by a temporary one) or TOTP secret at random, remove passkeys.

        Raises `NotFound`; `Outdated` if `expected` is given, and the account was changed since.
        """
        staff = await self._get(account)
        new = _generated(staff.username, self._clock.now(), password=password, totp=totp)
        temporary, totp_sealed = None, None
        if new.password and new.password_until:
            temporary = TemporaryPassword(await self._passwords.hash(new.password), new.password_until)
        if new.totp_secret:
            totp_sealed = self._cipher.encrypt(new.totp_secret, f"totp:{account}")
        await self._change(
            account, lambda staff, at: staff.reset(temporary, totp_sealed, passkeys=passkeys, at=at, by=by), expected
        )
        return new

    async def prove(self, caller: Caller, password: str, totp: str, address: str) -> Staff:
        """The caller's own account, if both factors are right. Raises 403 `forbidden`, `credentials_wrong`, 429."""
        security_events.attempt("account_change", caller.label)
        if caller.kind != "staff" or caller.session is None:
            raise AppError(403, "forbidden", "您没有权限进行此操作")
        # delayed separately from log-ins, so that a stolen token can't lock its owner out
        try:
            return await self._authenticate(caller.subject, password, totp, address, f"change:{caller.subject}")
        except LoginFailed as wrong:
            raise CredentialsWrong from wrong

    async def passkeys(self, caller: Caller, account: str) -> Sequence[Passkey]:
        """The passkeys of an account, for its owner and admins. Raises 403, `NotFound`."""
        _require_owner_or_admin(caller, account)
        return (await self._get(account)).passkeys

    async def remove_passkey(self, caller: Caller, account: str, passkey_id: str) -> None:
        """Remove a passkey, for its owner and admins; ends the account's other sessions. Raises 403, `NotFound`."""
        _require_owner_or_admin(caller, account)
        kept = caller.session if caller.subject == account else None

        def remove(staff: Staff, at: datetime) -> Staff | None:
            if passkey_id not in (each.id for each in staff.passkeys):
                raise NotFound
            return staff.passkey_removed(passkey_id, kept, at=at, by=caller.label)

        await self._change(account, remove)

    async def change_password(
        self, caller: Caller, password: str, totp: str, new_password: str, address: str
    ) -> tuple[Tokens, Staff]:
        """Change the caller's own password: all other sessions end, this one continues with new tokens.

        Raises `InvalidFields` for the new password, 403 `credentials_wrong` for the current one or the code, 429.
        """
        security_events.attempt("account_change", caller.label)
        staff = await self._store.staff.get(caller.subject) if caller.kind == "staff" else None
        if staff is None or caller.session is None:
            raise AppError(403, "forbidden", "您没有权限进行此操作")
        check_choice(new_password, staff.username, "new_password")
        if new_password == password:
            raise InvalidFields.one("new_password", "password_unchanged", "新密码不能与原密码相同")
        proved = await self.prove(caller, password, totp, address)
        password_hash = await self._passwords.hash(new_password)
        changed = await self._change(
            caller.subject, partial(_with_password, proved, password_hash, caller.session, caller.label)
        )
        return await self._sessions.prove(caller), changed

    async def _get(self, account: str) -> Staff:
        staff = await self._store.staff.get(account)
        if staff is None:
            raise NotFound
        return staff

    async def _change(self, account: str, change: Change, expected: int | None = None) -> Staff:
        """Write the change, retried on a concurrent log-in, and end the sessions except the one to be kept."""
        staff, changed = await retry_on_conflict(partial(self._write, account, change, expected))
        if changed is None:
            return staff
        _record(changed.action, account, changed.roles)
        await self._sessions.end_all(account, changed.end_reason, changed.kept_session)
        return changed

    async def _write(self, account: str, change: Change, expected: int | None) -> tuple[Staff, Staff | None]:
        """The account before and after the change; None for no change. Raises `Outdated`."""
        staff = await self._get(account)
        if expected is not None and staff.credentials != expected:
            raise Outdated
        changed = change(staff, self._clock.now())
        if changed is not None:
            await self._store.staff.replace(changed)
        return staff, changed


class Outdated(Exception):
    """The account was created or changed since the change was requested."""


class CredentialsWrong(AppError):
    """The current password or the TOTP code is wrong; the response does not reveal which."""

    def __init__(self) -> None:
        super().__init__(403, "credentials_wrong", "原密码或动态口令不正确")


def _with_password(proved: Staff, password_hash: str, session: str, by: str, staff: Staff, at: datetime) -> Staff:
    """The account with the password that its owner chose. Raises `CredentialsWrong`."""
    if staff.credentials != proved.credentials:  # a concurrent reset or disable takes precedence
        raise CredentialsWrong
    return staff.password_chosen(password_hash, session, at=at, by=by)


def _generated(username: str, now: datetime, *, password: bool = True, totp: bool = True) -> NewCredentials:
    until = now + TEMPORARY_PASSWORD_LIFETIME if password else None
    secret = pyotp.random_base32() if totp else None
    uri = pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=ISSUER) if secret else None
    generated = secrets.token_urlsafe(TEMPORARY_PASSWORD_BYTES) if password else None
    return NewCredentials(generated, until, secret, uri)


def label(account: str) -> str:
    """A member of staff in security events, as in `Caller.label`."""
    return f"staff:{account}"


def _record(action: str, account: str, roles: Sequence[str]) -> None:
    security_events.record("account_change", cause=action, subject=label(account), roles=" ".join(sorted(roles)))


def _require_other(caller: Caller, account: str) -> None:
    security_events.attempt("account_change", label(account))
    caller.require(role=ADMIN)
    if caller.subject == account:
        raise AppError(409, "own_account", "不能对自己的账号进行此操作。修改密码请到“修改密码”页面")


def _require_owner_or_admin(caller: Caller, account: str) -> None:
    security_events.attempt("account_change", label(account))
    if (caller.kind, caller.subject) != ("staff", account):
        caller.require(role=ADMIN)
