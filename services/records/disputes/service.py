"""The operations on disputes: a person opens one of an own record, a clerk closes it."""

from kit.core.clock import Clock
from kit.core.errors import AppError, NotFound
from kit.core.ids import derived_id, new_id
from kit.mongo import Conflict, Cursor, Duplicate
from kit.privacy.access_audit import AccessAudit
from kit.security.tokens import Caller
from services.records.disputes.domain import Dispute, Outcome
from services.records.domain import Record
from services.records.kinds import KINDS
from services.records.service import SCOPE
from services.records.store import Disputes, Records

CLERK = "clerk"
MAX_OPEN = 20
"""Open disputes of a person; concurrent requests may exceed it by a few."""
LISTED = "处理异议"
"""The access reason of clerks who list open disputes, unless they give one."""


class DisputeService:
    """Disputes of records that sources keep: at most one open dispute for a record."""

    def __init__(self, disputes: Disputes, records: Records, audit: AccessAudit, clock: Clock) -> None:
        self._disputes = disputes
        self._records = records
        self._audit = audit
        self._clock = clock

    async def open(self, caller: Caller, record_id: str, text: str, key: str | None) -> Dispute:
        """Dispute an own record; `key` is the idempotency key: a repeated request returns the dispute as it is now.

        Raises `NotFound`, 409 `not_kept_by_source`, `dispute_open`, `too_many_disputes`, `idempotency_conflict`.
        """
        record = await self._disputable(caller, record_id)
        dispute_id = derived_id("dispute", record.practitioner_id, key) if key else new_id()
        dispute = Dispute.opened(dispute_id, record, text, at=self._clock.now(), by=caller.label)
        stored = await self._disputes.get(dispute_id) or await self._insert(dispute)
        if not stored.repeats(dispute):
            raise AppError(409, "idempotency_conflict", "同一个 Idempotency-Key 已用于内容不同的请求")
        return stored

    async def _disputable(self, caller: Caller, record_id: str) -> Record:
        record = await self._records.get(record_id)
        if record is None:
            raise NotFound
        caller.own(record.practitioner_id)
        if KINDS[record.kind].maintained_by != "source":
            raise AppError(409, "not_kept_by_source", "该信息由您自己填写，有误请直接修改")
        return record

    async def _insert(self, dispute: Dispute) -> Dispute:
        """Insert it, or return what a concurrent request inserted under its id."""
        if await self._disputes.open_of_person(dispute.practitioner_id, MAX_OPEN) >= MAX_OPEN:
            raise AppError(409, "too_many_disputes", f"您已有 {MAX_OPEN} 项异议正在处理，请等处理后再提交")
        try:
            await self._disputes.insert(dispute)
        except Duplicate:
            stored = await self._disputes.get(dispute.id)
            if stored is None:
                raise AppError(409, "dispute_open", "这条信息的异议正在处理，请等处理后再提交") from None
            return stored
        return dispute

    async def page(
        self, caller: Caller, person: str, after: Cursor | None, limit: int
    ) -> tuple[list[Dispute], Cursor | None]:
        """A page of a person's disputes, newest first; who may read their records may read these."""
        owner = await self._audit.authorize_read(caller, person, SCOPE, "disputes", person)
        return await self._disputes.of_person(owner, after, limit)

    async def waiting(self, caller: Caller, after: Cursor | None, limit: int) -> tuple[list[Dispute], Cursor | None]:
        """A page of the open disputes of all people, oldest first, for clerks; audited for each of them."""
        caller.require(role=CLERK)
        found, next_cursor = await self._disputes.waiting(after, limit)
        people = sorted({dispute.practitioner_id for dispute in found})
        await self._audit.record_shown(caller, people, "disputes", LISTED)
        return found, next_cursor

    async def close(self, caller: Caller, dispute_id: str, outcome: Outcome, reason: str) -> Dispute:
        """Close a dispute, for clerks. Raises 403, `NotFound`, 409 `dispute_closed`."""
        caller.require(role=CLERK)
        dispute = await self._disputes.get(dispute_id)
        if dispute is None:
            raise NotFound
        if dispute.state == "closed":
            raise _already_closed()
        await self._audit.record(caller, SCOPE, dispute.practitioner_id, "dispute_closed", dispute_id)
        closed = dispute.closed(outcome, reason, at=self._clock.now(), by=caller.label)
        try:
            await self._disputes.replace(closed)
        except Conflict:  # another clerk was faster
            raise _already_closed() from None
        return closed


def _already_closed() -> AppError:
    return AppError(409, "dispute_closed", "该异议已处理，请刷新后查看")
