"""Rebindings that a second clerk decides, because it is not certain that the person is at the window.

The certificate contains the pending rebinding, so that each step is one guarded write: of two concurrent decisions only
one takes effect, and every other change of the certificate ends the pending rebinding.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from kit.core.clock import Clock
from kit.core.errors import AppError, InvalidFields, NotFound
from kit.core.ids import new_id
from kit.mongo import Conflict, Cursor, Duplicate, retry_on_conflict
from kit.privacy.access_audit import AccessAudit
from kit.security import security_events
from kit.security.tokens import Caller
from services.identity.certificates.domain import BoundPhone, Certificate, PendingRebinding, ReviewCause
from services.identity.certificates.phones import ISSUE_SCOPE, Phones
from services.identity.login.sessions import Sessions
from services.identity.settings import RebindingSettings
from services.identity.store import Store
from services.identity.throttle import Throttle

CLERK = "clerk"


@dataclass(frozen=True)
class Review:
    """Why a second clerk is needed, when the person's card was read last, and when they were looked up last."""

    cause: ReviewCause
    card_read_at: datetime | None
    looked_up_at: datetime | None


@dataclass(frozen=True)
class RebindingRequest:
    """A certificate with its pending rebinding. `requested_by`: the user name, or the client id."""

    certificate: Certificate
    waiting: PendingRebinding
    requested_by: str
    own: bool


class Rebindings:
    """Rebindings that need a second clerk: requested, confirmed, refused, or expired."""

    def __init__(
        self, store: Store, phones: Phones, audit: AccessAudit, sessions: Sessions, throttle: Throttle,
        settings: RebindingSettings, clock: Clock,
    ) -> None:  # fmt: skip
        self._store = store
        self._phones = phones
        self._audit = audit
        self._sessions = sessions
        self._throttle, self._clock = throttle, clock
        self._card_validity = timedelta(seconds=settings.card_seconds)
        self._waiting_time = timedelta(seconds=settings.waits_seconds)
        security_events.initialise("requested", "confirmed", "refused", event="certificate_rebinding", outcome="done")

    async def required_review(self, caller: Caller, person_id: str) -> Review | None:
        """Why a rebinding needs a second clerk; None if it does not. Counts it for the caller. Raises `NotFound`."""
        within_limit = await self._throttle.admit_rebinding(caller)
        person = await self._store.practitioners.get(person_id)
        if person is None:
            raise NotFound
        read, looked_up = person.card_read_at, await self._audit.last(person_id, "lookup")
        if read is None or self._clock.now() - read > self._card_validity:
            return Review("no_card", read, looked_up)
        if looked_up and looked_up > read:
            return Review("looked_up", read, looked_up)
        return None if within_limit else Review("too_many", read, looked_up)

    async def request(self, caller: Caller, certificate: Certificate, bound: BoundPhone, review: Review) -> Certificate:
        """Store a pending rebinding, in place of an earlier one; notify informs the current phone."""
        require_reason(caller)
        now, person = self._clock.now(), certificate.practitioner_id
        waiting = PendingRebinding(
            id=new_id(), by=caller.label, at=now, until=now + self._waiting_time, reason=caller.reason,
            cause=review.cause, card_read_at=review.card_read_at, looked_up_at=review.looked_up_at,
            phone_index=bound.index, phone_hint=bound.hint, contact=bound.contact,
            shared_reason=bound.place.shared_reason,
        )  # fmt: skip
        await self._audit.record(caller, ISSUE_SCOPE, person, "rebinding_requested", certificate.id)
        requested = certificate.rebinding_requested(waiting, at=now, by=caller.label)
        try:
            await self._store.certificates.replace(requested)
        except Conflict:
            raise AppError(409, "certificate_changed", "该人员的证书刚刚发生变更，请刷新后重新办理") from None
        security_events.record(
            "certificate_rebinding", "done", "requested", subject_of(person), rebinding=waiting.id, doubt=review.cause
        )  # fmt: skip
        return requested

    async def page(
        self, caller: Caller, after: Cursor | None, limit: int
    ) -> tuple[list[RebindingRequest], Cursor | None]:
        """A page of pending rebindings, newest certificate first, and the cursor of the next page."""
        caller.require(role=CLERK)
        found, next_page = await self._store.certificates_waiting(self._clock.now(), after, limit)
        requests = [await self._with_requester(caller, each, each.waiting) for each in found if each.waiting]
        return requests, next_page

    async def get(self, caller: Caller, rebinding_id: str) -> RebindingRequest:
        """A pending rebinding. Raises 404 `rebinding_over`."""
        certificate, waiting = await self._pending(caller, rebinding_id)
        return await self._with_requester(caller, certificate, waiting)

    async def _with_requester(
        self, caller: Caller, certificate: Certificate, waiting: PendingRebinding
    ) -> RebindingRequest:
        kind, _, subject = waiting.by.partition(":")
        staff = await self._store.staff.get(subject) if kind == "staff" else None
        return RebindingRequest(certificate, waiting, staff.username if staff else subject, waiting.by == caller.label)

    async def confirm(self, caller: Caller, rebinding_id: str) -> Certificate:
        """Bind the phone of a pending rebinding, and end the person's sessions.

        Raises 404 `rebinding_over`, 409 `own_request`, `requester_disabled`, `phone_in_use`, `phone_full`.
        """
        _, waiting = await self._pending(caller, rebinding_id)
        require_reason(caller)
        if waiting.by == caller.label:
            raise AppError(409, "own_request", "不能确认自己的申请，须由另一名工作人员确认")
        await self._require_enabled(waiting.by)
        rebound = await retry_on_conflict(partial(self._bind, caller, rebinding_id), races=(Conflict, Duplicate))
        security_events.record(
            "certificate_rebinding", "done", "confirmed", subject_of(rebound.practitioner_id), rebinding=rebinding_id
        )
        await self._sessions.end_all(rebound.practitioner_id, "phone_changed")
        return rebound

    async def _bind(self, caller: Caller, rebinding_id: str) -> Certificate:
        certificate, waiting = await self._pending(caller, rebinding_id)
        person = certificate.practitioner_id
        place = await self._phones.place(person, waiting.phone_index, waiting.shared_reason)
        phone = BoundPhone(waiting.phone_index, waiting.phone_hint, waiting.contact, place)
        await self._audit.record(caller, ISSUE_SCOPE, person, "rebinding_confirmed", certificate.id)
        await self._phones.note_sharing(caller, person, place)
        at, by = self._clock.now(), caller.label
        if certificate.state == "active":
            rebound = certificate.rebound(phone, at=at, by=by)
        else:
            rebound = certificate.issued_again(new_certificate_no(), phone, at=at, by=by)
        await self._store.certificates.replace(rebound)
        return rebound

    async def _require_enabled(self, label: str) -> None:
        """Raises 409 `requester_disabled` if the account that requested the rebinding was disabled since."""
        staff = await self._store.staff.get(label.partition(":")[2])
        if staff is not None and not staff.enabled:
            raise AppError(409, "requester_disabled", "申请人的账号已停用，不能确认。请拒绝该申请，并请本人重新办理")

    async def refuse(self, caller: Caller, rebinding_id: str) -> Certificate:
        """Keep the current phone; permitted to the requester, too. Raises 404 `rebinding_over`."""
        refused = await retry_on_conflict(partial(self._refuse, caller, rebinding_id))
        subject = subject_of(refused.practitioner_id)
        security_events.record("certificate_rebinding", "done", "refused", subject, rebinding=rebinding_id)
        return refused

    async def _refuse(self, caller: Caller, rebinding_id: str) -> Certificate:
        certificate, _ = await self._pending(caller, rebinding_id)
        require_reason(caller)
        person = certificate.practitioner_id
        await self._audit.record(caller, ISSUE_SCOPE, person, "rebinding_refused", certificate.id)
        refused = certificate.rebinding_refused(at=self._clock.now(), by=caller.label)
        await self._store.certificates.replace(refused)
        return refused

    async def _pending(self, caller: Caller, rebinding_id: str) -> tuple[Certificate, PendingRebinding]:
        """The certificate with this pending rebinding. Raises 403, 404 `rebinding_over`."""
        security_events.attempt("certificate_rebinding")
        caller.require(role=CLERK)
        found = await self._store.certificate_waiting(rebinding_id)
        if found is None or found.waiting is None or found.waiting.until <= self._clock.now():
            raise NotFound("rebinding_over", "该申请已处理、已超过时限，或已由新的申请代替")
        return found, found.waiting


def new_certificate_no() -> str:
    """The number printed on a certificate."""
    return f"SH{secrets.randbelow(10**12):012d}"


def subject_of(person_id: str) -> str:
    """A person in security events, as in `Caller.label`."""
    return f"practitioner:{person_id}"


def require_reason(caller: Caller) -> None:
    """Raises 422 `reason_required` without an access reason, which the person sees in their access log."""
    if not caller.reason:
        raise InvalidFields.one("X-Access-Reason", "reason_required", "请填写更换手机号码的原因，本人可以看到")
