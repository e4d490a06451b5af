"""Accounts of staff: who keeps them, switches them off and resets them; people change their own password.

Every change ends the sessions of the account at once, and leaves a security event.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import pyotp

from kit.core.clock import Clock
from kit.core.errors import AppError, InvalidFields, NotFound
from kit.mongo import Cursor, retry_on_conflict
from kit.security import security_events
from kit.security.encryption import Cipher
from kit.security.tokens import ADMIN, Caller
from services.identity.accounts.command_events import COMMAND
from services.identity.accounts.domain import END_REASONS, MadePassword, Staff, staff_id
from services.identity.accounts.passwords import LoginFailed, Passwords, check_choice
from services.identity.login.sessions import Sessions, Tokens
from services.identity.store import Store

ROLES = ("clerk", "admin", "operator")
ISSUER = "从业人员自助服务"
"""What an authenticator shows above the code."""
MADE_BYTES = 12
MADE_LASTS = timedelta(days=1)
"""How long a password that was made for somebody may be used, to choose another one."""

Change = Callable[[Staff, datetime], Staff | None]
"""The next version of an account as it is, made at this time; None: it stays as it is."""
Prove = Callable[[str, str, str, str, str], Awaitable[Staff]]
"""Who an account is of, by its password and code, from an address; counted as what: `AccountService.proved`."""


@dataclass(frozen=True)
class NewCredentials:
    """What was made for somebody, to be handed to them: shown once, kept nowhere in plain."""

    password: str | None
    password_until: datetime | None
    totp_secret: str | None
    totp_uri: str | None


class StaffAccounts:
    """Keeps the accounts of staff."""

    def __init__(
        self, store: Store, sealer: Cipher, sessions: Sessions, passwords: Passwords, prove: Prove, clock: Clock
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._sessions = sessions
        self._passwords = passwords
        self._prove = prove
        self._clock = clock
        security_events.initialise("created", *END_REASONS, event="account_change", outcome="done")
        security_events.initialise("credentials_wrong", event="account_change")

    async def keep(self, username: str, password: str, totp_secret: str, roles: list[str]) -> None:
        """Create or change an account by command; the same again changes nothing. Raises `InvalidFields`."""
        account = staff_id(username)
        known = await self._store.staff.get(account)
        if known and await self._unchanged(known, password, totp_secret, roles):
            return
        check_choice(password, username, "password")
        hashed, sealed = await self._passwords.hash(password), self._sealer.seal(totp_secret, f"totp:{account}")
        if known:
            await self._change(account, lambda staff, at: staff.replaced(hashed, sealed, roles, at=at, by=COMMAND))
            return
        created = Staff.created(username, hashed, sealed, roles, at=self._clock.now(), by=COMMAND)
        await self._store.staff.insert(created)
        _record("created", account, roles)

    async def _unchanged(self, staff: Staff, password: str, totp_secret: str, roles: list[str]) -> bool:
        same_totp = self._sealer.open(staff.totp_sealed, f"totp:{staff.id}") == totp_secret
        same_roles = sorted(staff.roles) == sorted(roles)
        return same_totp and same_roles and await self._passwords.fits(password, staff.password_hash)

    async def page(self, caller: Caller, after: Cursor | None, limit: int) -> tuple[list[Staff], Cursor | None]:
        """A page of all accounts, newest first, and where the next one begins."""
        caller.require(role=ADMIN)
        return await self._store.staff.newest({}, after, limit)

    async def disable(self, caller: Caller, account: str) -> Staff:
        """Nobody logs in any more. Raises 409 for one's own account, and for the last admin's."""
        _require_other(caller, account)
        disabled = await self.switch(account, caller.label, enabled=False)
        if not await self._store.has_admin(self._clock.now()):  # two may have disabled each other
            await self.switch(account, caller.label, enabled=True)
            raise AppError(409, "last_admin", "至少须保留一名可以登录的管理员")
        return disabled

    async def enable(self, caller: Caller, account: str) -> Staff:
        """They log in again, with what they had."""
        _require_other(caller, account)
        return await self.switch(account, caller.label, enabled=True)

    async def switch(self, account: str, by: str, *, enabled: bool) -> Staff:
        """Switch an account off or on; the same again changes nothing. Raises `NotFound`."""

        def switch(staff: Staff, at: datetime) -> Staff | None:
            return staff.switched(enabled=enabled, at=at, by=by) if staff.enabled != enabled else None

        return await self._change(account, switch)

    async def reset(self, caller: Caller, account: str, *, password: bool, totp: bool) -> NewCredentials:
        """Make another password, another TOTP secret, or both. Raises 409 for one's own account."""
        _require_other(caller, account)
        return await self.make(account, caller.label, password=password, totp=totp)

    async def make(self, account: str, by: str, *, password: bool, totp: bool) -> NewCredentials:
        """Make them at random; with the password its owner can only choose one of their own. Raises `NotFound`."""
        staff = await self._of(account)
        made_password = None
        sealed = None
        handed = NewCredentials(None, None, None, None)
        if password:
            made, until = secrets.token_urlsafe(MADE_BYTES), self._clock.now() + MADE_LASTS
            made_password = MadePassword(await self._passwords.hash(made), until)
            handed = NewCredentials(made, until, None, None)
        if totp:
            secret = pyotp.random_base32()
            sealed = self._sealer.seal(secret, f"totp:{account}")
            uri = pyotp.TOTP(secret).provisioning_uri(name=staff.username, issuer_name=ISSUER)
            handed = NewCredentials(handed.password, handed.password_until, secret, uri)
        await self._change(account, lambda staff, at: staff.reset(made_password, sealed, at=at, by=by))
        return handed

    async def change_password(
        self, caller: Caller, password: str, totp: str, chosen: str, address: str
    ) -> tuple[Tokens, Staff]:
        """Choose another password: all other sessions end, this one goes on with new tokens.

        Raises `InvalidFields` for the new one, 403 `credentials_wrong` for the old one or the code, 429.
        """
        security_events.attempt("account_change", caller.label)
        staff = await self._store.staff.get(caller.subject) if caller.kind == "staff" else None
        if staff is None or caller.session is None:
            raise AppError(403, "forbidden", "您没有权限进行此操作")
        check_choice(chosen, staff.username, "new_password")
        if chosen == password:
            raise InvalidFields.one("new_password", "password_unchanged", "新密码不能与原密码相同")
        # counted apart: whoever has a token only does not keep its owner from logging in
        try:
            proved = await self._prove(staff.id, password, totp, address, f"change:{staff.id}")
        except LoginFailed as wrong:
            raise CredentialsWrong from wrong
        changed = await self._change(
            caller.subject, partial(_chosen, proved, await self._passwords.hash(chosen), caller.session, caller.label)
        )
        return await self._sessions.prove(caller), changed

    async def _of(self, account: str) -> Staff:
        staff = await self._store.staff.get(account)
        if staff is None:
            raise NotFound
        return staff

    async def _change(self, account: str, change: Change) -> Staff:
        """Write it, whoever logs in meanwhile, and end the sessions but for the one to be kept."""
        staff, changed = await retry_on_conflict(partial(self._write, account, change))
        if changed is None:
            return staff
        _record(changed.action, account, changed.roles)
        await self._sessions.end_all(account, changed.end_reason, changed.kept_session)
        return changed

    async def _write(self, account: str, change: Change) -> tuple[Staff, Staff | None]:
        """The account as it was, and as it is after the change, if there is one."""
        staff = await self._of(account)
        changed = change(staff, self._clock.now())
        if changed is not None:
            await self._store.staff.replace(changed)
        return staff, changed


class CredentialsWrong(AppError):
    """Not the password, or not the code: which of them nobody learns."""

    def __init__(self) -> None:
        super().__init__(403, "credentials_wrong", "原密码或动态口令不正确")


def _chosen(proved: Staff, password_hash: str, session: str, by: str, staff: Staff, at: datetime) -> Staff:
    """The account with the password that its owner chose. Raises `CredentialsWrong`."""
    if staff.credentials != proved.credentials:  # somebody reset or disabled it meanwhile: that holds
        raise CredentialsWrong
    return staff.password_chosen(password_hash, session, at=at, by=by)


def label(account: str) -> str:
    """How security events name a member of staff, as `Caller.label` does."""
    return f"staff:{account}"


def _record(action: str, account: str, roles: Sequence[str]) -> None:
    security_events.record("account_change", cause=action, subject=label(account), roles=" ".join(sorted(roles)))


def _require_other(caller: Caller, account: str) -> None:
    security_events.attempt("account_change", label(account))
    caller.require(role=ADMIN)
    if caller.subject == account:
        raise AppError(409, "own_account", "不能对自己的账号进行此操作。修改密码请到“修改密码”页面")
