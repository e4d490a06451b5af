"""Four eyes: a request of one person is approved by another, and then carried out once (decision 0063)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from kit.core.audit import COMMAND
from kit.core.clock import Clock
from kit.core.errors import AppError, InvalidFields, NotFound
from kit.mongo import Conflict, Cursor, Duplicate
from kit.security import security_events
from kit.security.tokens import ADMIN, Caller
from services.identity.accounts.domain import Staff, staff_id
from services.identity.accounts.staff import NewCredentials, Outdated, StaffAccounts, label
from services.identity.approvals.domain import Action, Approval
from services.identity.settings import ApprovalSettings
from services.identity.store import Store

WITH_ROLES: Sequence[Action] = ("create", "roles")
OUTCOMES = ("approved", "refused", "outdated", "bootstrap", "bypassed")


@dataclass(frozen=True)
class Wish:
    """What is requested for which account; `roles` for a new account or other roles."""

    asked: Action
    username: str
    roles: Sequence[str]
    reason: str
    password_hash: str | None = None
    totp_sealed: str | None = None


class Approvals:
    """Requests, approves and refuses changes of accounts."""

    def __init__(self, store: Store, staff: StaffAccounts, settings: ApprovalSettings, clock: Clock) -> None:
        self._store = store
        self._staff = staff
        self._clock = clock
        self._waits = timedelta(seconds=settings.waits_seconds)
        security_events.initialise("", event="approval_request", outcome="done")
        security_events.initialise(*OUTCOMES, event="approval", outcome="done")
        security_events.initialise("second_person_required", event="approval")

    async def request(self, caller: Caller, wish: Wish) -> Approval:
        """Ask another admin. Raises 403, 409 `account_exists`, `own_account`, 422 without roles, `NotFound`."""
        security_events.attempt("approval_request", label(staff_id(wish.username)))
        admin = await self._admin(caller)
        if staff_id(wish.username) == caller.subject:
            raise AppError(409, "own_account", "不能为自己的账号提出申请，请由另一名管理员提出")
        if wish.asked in WITH_ROLES and not wish.roles:
            raise InvalidFields.one("roles", "missing", "请选择角色")
        return await self._request(wish, caller.label, admin.username)

    async def request_by_command(self, wish: Wish) -> Approval:
        """Request approval of a change that a command asks for. Raises `NotFound`."""
        return await self._request(wish, COMMAND, COMMAND)

    async def _request(self, wish: Wish, by: str, name: str) -> Approval:
        requested = Approval.requested(at=self._clock.now(), by=by, **await self._fields(wish, name))
        await self._store.approvals.insert(requested)
        _record("approval_request", "", requested)
        return requested

    async def _fields(self, wish: Wish, name: str) -> dict[str, object]:
        account = staff_id(wish.username)
        staff = await self._store.staff.get(account)
        if staff is None and wish.asked not in ("save", "create"):
            raise NotFound
        if staff and wish.asked == "create":
            raise AppError(409, "account_exists", "该用户名已有账号")
        roles = sorted(wish.roles) if wish.asked in ("save", *WITH_ROLES) else staff.roles if staff else []
        return {
            "requester_name": name, "asked": wish.asked, "account": account, "username": wish.username, "roles": roles,
            "reason": wish.reason, "expected": staff.credentials if staff else None,
            "password_hash": wish.password_hash, "totp_sealed": wish.totp_sealed,
            "expires_at": self._clock.now() + self._waits,
        }  # fmt: skip

    async def is_first_admin(self, username: str, roles: Sequence[str]) -> bool:
        """Whether this account may be created without approval: the first admin of an empty installation, once."""
        if ADMIN not in roles or await self._store.has_had_admin():
            return False
        made = Approval.bootstrap(staff_id(username), username, at=self._clock.now(), by=COMMAND)
        try:
            await self._store.approvals.insert(made)
        except Duplicate:
            return False
        _record("approval", "bootstrap", made)
        return True

    async def bypass(self, wish: Wish) -> None:
        """Record that a command is carried out without approval, in an emergency. Raises `NotFound`."""
        made = Approval.bypassed(at=self._clock.now(), by=COMMAND, **await self._fields(wish, COMMAND))
        await self._store.approvals.insert(made)
        _record("approval", "bypassed", made)

    async def concerns_admin(self, username: str) -> bool:
        """Whether the account has the role `admin`."""
        staff = await self._store.staff.get(staff_id(username))
        return staff is not None and ADMIN in staff.roles

    async def approve(self, caller: Caller, approval_id: str) -> tuple[Approval, NewCredentials | None]:
        """Approve another person's request, and carry it out; returns generated credentials.

        Raises 403 `second_person_required` for the requester and the account concerned, 409 `no_open_request`,
        `requester_gone` if the requester is no admin any more, `request_outdated` if the account was changed since.
        """
        waiting, admin = await self._decidable(caller, approval_id)
        if caller.label in (waiting.requester, label(waiting.account)):
            raise AppError(403, "second_person_required", "申请人和账号本人不能批准，请由另一名管理员批准")
        if waiting.requester != COMMAND and not _is_admin(await self._store.staff.get(_id_of(waiting.requester))):
            raise AppError(409, "requester_gone", "申请人已不是管理员，请重新提出申请")
        approved = waiting.approved(admin.username, at=self._clock.now(), by=caller.label)
        await self._replace(approved)
        try:
            made = await self._carry_out(waiting, caller.label)
        except (Outdated, NotFound) as outdated:
            await self._replace(approved.outdated(at=self._clock.now(), by=caller.label))
            _record("approval", "outdated", approved)
            raise AppError(409, "request_outdated", "提出申请后账号已变更，请重新提出申请") from outdated
        done = approved.carried_out(at=self._clock.now(), by=caller.label)
        await self._replace(done)
        _record("approval", "approved", done)
        return done, made

    async def _carry_out(self, approval: Approval, by: str) -> NewCredentials | None:
        """Make the change, unless the account was changed since the request. Raises `Outdated`, `NotFound`."""
        account, expected = approval.account, approval.expected
        if approval.asked == "create":
            return await self._staff.create(approval.username, approval.roles, by)
        if approval.asked == "reset":
            return await self._staff.replace_credentials(
                account, by, password=True, totp=True, passkeys=True, expected=expected
            )
        if approval.asked == "save":
            secrets = approval.password_hash or "", approval.totp_sealed or ""
            await self._staff.replace(approval.username, *secrets, approval.roles, by, expected)
        elif approval.asked == "roles":
            await self._staff.change_roles(account, approval.roles, by, expected)
        else:
            await self._staff.switch(account, by, enabled=True, expected=expected)
        return None

    async def refuse(self, caller: Caller, approval_id: str) -> Approval:
        """Refuse a request, or withdraw one's own. Raises 403, `NotFound`, 409 `no_open_request`."""
        waiting, admin = await self._decidable(caller, approval_id)
        refused = waiting.refused(admin.username, at=self._clock.now(), by=caller.label)
        await self._replace(refused)
        _record("approval", "refused", refused)
        return refused

    async def page(self, caller: Caller, after: Cursor | None, limit: int) -> tuple[list[Approval], Cursor | None]:
        """A page of all requests, newest first, for admins."""
        caller.require(role=ADMIN)
        return await self._store.approvals.newest({}, after, limit)

    async def _decidable(self, caller: Caller, approval_id: str) -> tuple[Approval, Staff]:
        """An open request, and the admin who decides it."""
        security_events.attempt("approval")
        admin = await self._admin(caller)
        found = await self._store.approvals.get(approval_id)
        if found is None:
            raise NotFound
        security_events.attempt("approval", label(found.account))
        if not found.is_open(self._clock.now()):
            raise _not_open()
        return found, admin

    async def _admin(self, caller: Caller) -> Staff:
        """The caller's account, which has the role now, whatever the token says."""
        caller.require(role=ADMIN)
        staff = await self._store.staff.get(caller.subject)
        if staff is None or not _is_admin(staff):
            raise AppError(403, "forbidden", "您没有权限进行此操作")
        return staff

    async def _replace(self, approval: Approval) -> None:
        try:
            await self._store.approvals.replace(approval)
        except Conflict as lost:  # somebody else decided at the same time
            raise _not_open() from lost


def _is_admin(staff: Staff | None) -> bool:
    return staff is not None and staff.enabled and ADMIN in staff.roles_now


def _id_of(requester: str) -> str:
    return requester.partition(":")[2]


def _record(event: str, cause: str, approval: Approval) -> None:
    security_events.record(
        event, cause=cause, subject=label(approval.account), approval=approval.id, asked=approval.asked,
        roles=" ".join(approval.roles),
    )  # fmt: skip


def _not_open() -> AppError:
    return AppError(409, "no_open_request", "该申请已处理或已过期，请刷新后查看")
