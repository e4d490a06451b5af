"""Erasures: one admin requests, another approves, and any clerk or admin can stop it before it is carried out.

`eraser.py` carries it out: its event makes every service remove the person's data.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from contracts.security_events import Event
from kit.core.clock import Clock
from kit.core.errors import AppError, InvalidFields, NotFound
from kit.mongo import Conflict, Duplicate, retry_on_conflict
from kit.observability import log
from kit.privacy.access_audit import AccessAudit
from kit.security import security_events
from kit.security.tokens import ADMIN, Caller
from services.identity.erasures.domain import ErasureRequest, erasure_id
from services.identity.settings import ErasureSettings
from services.identity.store import Store

CLERK = "clerk"
EVENTS: Mapping[str, Event] = {
    "requested": "erasure_request", "repeated": "erasure_request", "approved": "erasure_approval",
    "stopped": "erasure_stop",
}  # fmt: skip
logger = log.get(__name__)


class Erasures:
    """Requests, approves and stops erasures. A request for an erased person publishes the erasure again."""

    def __init__(self, store: Store, audit: AccessAudit, settings: ErasureSettings, clock: Clock) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._delay = timedelta(seconds=settings.delay_seconds)
        security_events.initialise("", event="erasure_request", outcome="done")

    async def request(self, caller: Caller, person: str) -> ErasureRequest:
        """Request a person's erasure; idempotent while it is open. Raises 403, 422 `reason_required`, `NotFound`."""
        return await retry_on_conflict(partial(self._request, caller, person), races=(Conflict, Duplicate))

    async def _request(self, caller: Caller, person: str) -> ErasureRequest:
        security_events.attempt("erasure_request", _subject(person))
        caller.require(role=ADMIN)
        _require_reason(caller, "请填写删除该人员全部信息的依据")
        known = await self._store.erasures.get(erasure_id(person))
        if known and known.state in ("requested", "approved", "restored"):
            return known
        if known and known.state == "erased":
            return await self._write(caller, known.repeated(caller.reason, at=self._clock.now(), by=caller.label))
        return await self._open(caller, person, known)

    async def _open(self, caller: Caller, person: str, stopped: ErasureRequest | None) -> ErasureRequest:
        if await self._store.practitioners.get(person) is None:
            raise NotFound
        at, by = self._clock.now(), caller.label
        if stopped:
            return await self._write(caller, stopped.requested_again(caller.reason, at=at, by=by))
        requested = ErasureRequest.requested(person, caller.reason, at=at, by=by)
        await self._note_access(caller, requested)
        await self._store.erasures.insert(requested)
        self._record(caller, requested)
        return requested

    async def approve(self, caller: Caller, person: str) -> ErasureRequest:
        """Approve an erasure, which starts the delay in which it can be stopped.

        Raises 403 `second_person_required` for the admin who requested it, `NotFound`, 409 `no_open_erasure`.
        """
        return await retry_on_conflict(partial(self._approve, caller, person))

    async def _approve(self, caller: Caller, person: str) -> ErasureRequest:
        security_events.attempt("erasure_approval", _subject(person))
        caller.require(role=ADMIN)
        known = await self._found(person)
        if known.state != "requested":
            raise _not_open()
        request = known.last("requested")
        if request is None or request.by == caller.label:
            raise AppError(403, "second_person_required", "提出申请的人员不能批准，请由另一名管理员批准")
        now = self._clock.now()
        return await self._write(caller, known.approved(now + self._delay, at=now, by=caller.label))

    async def stop(self, caller: Caller, person: str) -> ErasureRequest:
        """Stop an erasure, for clerks and admins. Raises 403, 409 `no_open_erasure`, 422, `NotFound`."""
        return await retry_on_conflict(partial(self._stop, caller, person))  # it may be carried out at the same time

    async def _stop(self, caller: Caller, person: str) -> ErasureRequest:
        security_events.attempt("erasure_stop", _subject(person))
        caller.require(role=CLERK)
        _require_reason(caller, "请填写停止删除的原因")
        known = await self._found(person)
        if known.state not in ("requested", "approved"):
            raise _not_open()
        return await self._write(caller, known.stopped(caller.reason, at=self._clock.now(), by=caller.label))

    async def get(self, caller: Caller, person: str) -> ErasureRequest:
        """A person's erasure, for clerks and admins. Raises 403, `NotFound`."""
        caller.require(role=CLERK)
        return await self._found(person)

    async def waiting(self, caller: Caller) -> list[ErasureRequest]:
        """All requested and approved erasures, the least recently changed first, for admins. Raises 403."""
        caller.require(role=ADMIN)
        return sorted(await self._store.erasures_in("requested", "approved"), key=lambda each: each.updated_at)

    async def confirmed(self, person: str) -> bool:
        """Whether a person was erased; every service checks this before it erases anything (`Confirmed`)."""
        known = await self._store.erasures.get(erasure_id(person))
        return known is not None and known.state == "erased"

    async def _found(self, person: str) -> ErasureRequest:
        known = await self._store.erasures.get(erasure_id(person))
        if known is None:
            raise NotFound
        return known

    async def _write(self, caller: Caller, erasure: ErasureRequest) -> ErasureRequest:
        if erasure.action != "repeated":  # an erased person has no access log
            await self._note_access(caller, erasure)
        await self._store.erasures.replace(erasure)
        self._record(caller, erasure)
        return erasure

    def _record(self, caller: Caller, written: ErasureRequest) -> None:
        person, action = written.practitioner_id, written.action
        security_events.record(EVENTS[action], cause=action if action == "repeated" else "", subject=_subject(person))
        logger.warning("erasure", action=action, practitioner_id=person, by=caller.label)

    async def _note_access(self, caller: Caller, erasure: ErasureRequest) -> None:
        """Record in the person's access log who requested, approved or stopped the erasure."""
        await self._audit.record(caller, "", erasure.practitioner_id, f"erasure_{erasure.action}", erasure.id)


def _subject(person: str) -> str:
    return f"practitioner:{person}"


def _require_reason(caller: Caller, sentence: str) -> None:
    if not caller.reason:
        raise InvalidFields.one("X-Access-Reason", "reason_required", sentence)


def _not_open() -> AppError:
    return AppError(409, "no_open_erasure", "没有可以处理的删除申请，请刷新后查看")
