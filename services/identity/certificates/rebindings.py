"""Another phone for a certificate, where it is not sure that its person stands at the window: a second clerk decides.

The certificate keeps the phone that waits, so that each step is one guarded write: of two who decide only one does, and
whatever else happens to the certificate in between ends the waiting.
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
from services.identity.certificates.domain import BoundPhone, Certificate, Doubtful, PendingRebinding
from services.identity.certificates.phones import ISSUE_SCOPE, Phones
from services.identity.login.sessions import Sessions
from services.identity.settings import RebindingSettings
from services.identity.store import Store
from services.identity.throttle import Throttle

CLERK = "clerk"


@dataclass(frozen=True)
class Doubt:
    """Why a second clerk is needed, and what was seen of the person at the window."""

    cause: Doubtful
    card_read_at: datetime | None
    looked_up_at: datetime | None


@dataclass(frozen=True)
class Request:
    """A certificate with the phone that waits, and who asked for it, as colleagues know them."""

    certificate: Certificate
    waiting: PendingRebinding
    requested_by: str
    own: bool


class Rebindings:
    """Rebindings that wait for a second clerk: requested, confirmed, refused; forgotten when their time is over."""

    def __init__(
        self, store: Store, phones: Phones, looks: AccessAudit, sessions: Sessions, throttle: Throttle,
        settings: RebindingSettings, clock: Clock,
    ) -> None:  # fmt: skip
        self._store = store
        self._phones = phones
        self._looks = looks
        self._sessions = sessions
        self._throttle, self._clock = throttle, clock
        self._card_lasts = timedelta(seconds=settings.card_seconds)
        self._waits = timedelta(seconds=settings.waits_seconds)
        security_events.initialise("requested", "confirmed", "refused", event="certificate_rebinding", outcome="done")

    async def doubt(self, caller: Caller, person_id: str) -> Doubt | None:
        """What speaks against another phone at once; counts it for the caller. None: nothing. Raises `NotFound`."""
        few = await self._throttle.admit_rebinding(caller)
        person = await self._store.practitioners.get(person_id)
        if person is None:
            raise NotFound
        read, looked = person.card_read_at, await self._looks.last(person_id, "lookup")
        if read is None or self._clock.now() - read > self._card_lasts:
            return Doubt("no_card", read, looked)
        if looked and looked > read:
            return Doubt("looked_up", read, looked)
        return None if few else Doubt("too_many", read, looked)

    async def request(self, caller: Caller, certificate: Certificate, bound: BoundPhone, doubt: Doubt) -> Certificate:
        """Have a phone wait, in place of one that may wait already; the phone of now is told."""
        require_reason(caller)
        now, person = self._clock.now(), certificate.practitioner_id
        waiting = PendingRebinding(
            id=new_id(), by=caller.label, at=now, until=now + self._waits, reason=caller.reason, cause=doubt.cause,
            card_read_at=doubt.card_read_at, looked_up_at=doubt.looked_up_at, phone_index=bound.index,
            phone_hint=bound.hint, contact=bound.contact, shared_reason=bound.place.shared_reason,
        )  # fmt: skip
        await self._looks.note(caller, ISSUE_SCOPE, person, "rebinding_requested", certificate.id)
        requested = certificate.rebinding_requested(waiting, at=now, by=caller.label)
        try:
            await self._store.certificates.replace(requested)
        except Conflict:
            raise AppError(409, "certificate_changed", "该人员的证书刚刚发生变更，请刷新后重新办理") from None
        security_events.record(
            "certificate_rebinding", "done", "requested", subject_of(person), rebinding=waiting.id, doubt=doubt.cause
        )  # fmt: skip
        return requested

    async def page(self, caller: Caller, after: Cursor | None, limit: int) -> tuple[list[Request], Cursor | None]:
        """A page of those that wait, by the certificates' age, and where the next one begins."""
        caller.require(role=CLERK)
        found, following = await self._store.certificates_waiting(self._clock.now(), after, limit)
        shown = [await self._shown(caller, each, each.waiting) for each in found if each.waiting]
        return shown, following

    async def get(self, caller: Caller, rebinding_id: str) -> Request:
        """A rebinding that waits for a second clerk. Raises 404 `rebinding_over`."""
        certificate, waiting = await self._of(caller, rebinding_id)
        return await self._shown(caller, certificate, waiting)

    async def _shown(self, caller: Caller, certificate: Certificate, waiting: PendingRebinding) -> Request:
        kind, _, subject = waiting.by.partition(":")
        staff = await self._store.staff.get(subject) if kind == "staff" else None
        return Request(certificate, waiting, staff.username if staff else subject, waiting.by == caller.label)

    async def confirm(self, caller: Caller, rebinding_id: str) -> Certificate:
        """Bind the phone that waits; ends the person's sessions.

        Raises 404 `rebinding_over`, 409 `own_request`, `requester_disabled`, `phone_in_use`, `phone_full`.
        """
        _, waiting = await self._of(caller, rebinding_id)
        require_reason(caller)
        if waiting.by == caller.label:
            raise AppError(409, "own_request", "不能确认自己的申请，须由另一名工作人员确认")
        await self._require_employed(waiting.by)
        moved = await retry_on_conflict(partial(self._confirmed, caller, rebinding_id), races=(Conflict, Duplicate))
        security_events.record(
            "certificate_rebinding", "done", "confirmed", subject_of(moved.practitioner_id), rebinding=rebinding_id
        )
        await self._sessions.end_all(moved.practitioner_id, "phone_changed")
        return moved

    async def _confirmed(self, caller: Caller, rebinding_id: str) -> Certificate:
        certificate, waiting = await self._of(caller, rebinding_id)
        person = certificate.practitioner_id
        place = await self._phones.place(person, waiting.phone_index, waiting.shared_reason)
        phone = BoundPhone(waiting.phone_index, waiting.phone_hint, waiting.contact, place)
        await self._looks.note(caller, ISSUE_SCOPE, person, "rebinding_confirmed", certificate.id)
        await self._phones.note_sharing(caller, person, place)
        at, by = self._clock.now(), caller.label
        if certificate.state == "active":
            moved = certificate.rebound(phone, at=at, by=by)
        else:
            moved = certificate.issued_again(new_certificate_no(), phone, at=at, by=by)
        await self._store.certificates.replace(moved)
        return moved

    async def _require_employed(self, label: str) -> None:
        """Nobody confirms what an account asked for that was disabled since."""
        staff = await self._store.staff.get(label.partition(":")[2])
        if staff is not None and not staff.enabled:
            raise AppError(409, "requester_disabled", "申请人的账号已停用，不能确认。请拒绝该申请，并请本人重新办理")

    async def refuse(self, caller: Caller, rebinding_id: str) -> Certificate:
        """Keep the phone of now. Whoever asked may do so, too. Raises 404 `rebinding_over`."""
        kept = await retry_on_conflict(partial(self._refused, caller, rebinding_id))
        subject = subject_of(kept.practitioner_id)
        security_events.record("certificate_rebinding", "done", "refused", subject, rebinding=rebinding_id)
        return kept

    async def _refused(self, caller: Caller, rebinding_id: str) -> Certificate:
        certificate, _ = await self._of(caller, rebinding_id)
        require_reason(caller)
        person = certificate.practitioner_id
        await self._looks.note(caller, ISSUE_SCOPE, person, "rebinding_refused", certificate.id)
        kept = certificate.rebinding_refused(at=self._clock.now(), by=caller.label)
        await self._store.certificates.replace(kept)
        return kept

    async def _of(self, caller: Caller, rebinding_id: str) -> tuple[Certificate, PendingRebinding]:
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
    """A person, as security events name them."""
    return f"practitioner:{person_id}"


def require_reason(caller: Caller) -> None:
    """Raises 422: another phone needs a reason, which the person reads in their access log."""
    if not caller.reason:
        raise InvalidFields.one("X-Access-Reason", "reason_required", "请填写更换手机号码的原因，本人可以看到")
