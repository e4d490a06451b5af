"""Digital certificates: issued, bound to another phone, revoked."""

from dataclasses import dataclass
from functools import partial

from kit.core.clock import Clock
from kit.core.errors import AppError, InvalidFields, NotFound
from kit.mongo import Conflict, Duplicate, retry_on_conflict
from kit.privacy.access_audit import AccessAudit
from kit.security import security_events
from kit.security.tokens import Caller
from services.identity.certificates.domain import BoundPhone, Certificate, certificate_id
from services.identity.certificates.phones import ISSUE_SCOPE, Phone, Phones
from services.identity.certificates.rebindings import Rebindings, new_certificate_no, require_reason, subject_of
from services.identity.domain import READ_SCOPE
from services.identity.login.codes import Codes, NewCode
from services.identity.login.domain import Challenge
from services.identity.login.sessions import Sessions
from services.identity.store import Store
from services.identity.throttle import Throttle


@dataclass(frozen=True)
class Proof:
    """The code that was sent to the new phone, and the caller's address; None where the request has none."""

    challenge_id: str | None
    code: str | None
    address: str


class Certificates:
    """Issues, rebinds and revokes digital certificates."""

    def __init__(
        self,
        store: Store,
        phones: Phones,
        codes: Codes,
        rebindings: Rebindings,
        audit: AccessAudit,
        sessions: Sessions,
        throttle: Throttle,
        clock: Clock,
    ) -> None:
        self._store = store
        self._phones = phones
        self._codes = codes
        self._rebindings = rebindings
        self._audit = audit
        self._sessions = sessions
        self._throttle = throttle
        self._clock = clock
        security_events.initialise("", event="certificate_rebinding", outcome="done")

    async def of_person(self, caller: Caller, person: str) -> Certificate:
        """A person's certificate, active or revoked. Raises `NotFound`."""
        owner = await self._audit.authorize_read(caller, person, READ_SCOPE, "certificate", person)
        found = await self._store.certificate_of(owner)
        if found is None:
            raise NotFound
        return found

    async def issue(self, caller: Caller, person_id: str, phone: Phone) -> Certificate:
        """Issue a person's certificate for this phone. Raises 409 if one is active or the phone is in use.

        Issued again after a revocation, for another phone than before, it is a rebinding and may need a second clerk.
        """
        return await retry_on_conflict(partial(self._issue, caller, person_id, phone), races=(Conflict, Duplicate))

    async def _issue(self, caller: Caller, person_id: str, phone: Phone) -> Certificate:
        security_events.attempt("certificate_issue", subject_of(person_id))
        caller.require(role="clerk", scope=ISSUE_SCOPE)
        if await self._store.practitioners.get(person_id) is None:
            raise NotFound
        known = await self._store.certificate_of(person_id)
        if known is not None and known.state == "active":
            raise AppError(409, "certificate_active", "该人员已申领个人数字证书，如需更换手机号码请办理变更")
        bound = await self._phones.bound(person_id, phone)
        rebinds = known is not None and known.phone_index != bound.index
        if known and rebinds and (review := await self._rebindings.required_review(caller, person_id)):
            return await self._rebindings.request(caller, known, bound, review)
        await self._phones.note_sharing(caller, person_id, bound.place)
        issued = await self._write_issued(caller, person_id, bound, known)
        security_events.record("certificate_issue", subject=subject_of(person_id))
        return issued

    async def _write_issued(
        self, caller: Caller, person_id: str, bound: BoundPhone, known: Certificate | None
    ) -> Certificate:
        number = new_certificate_no()
        at = self._clock.now()
        by = caller.label
        if known is not None:
            issued = known.issued_again(number, bound, at=at, by=by)
            await self._store.certificates.replace(issued)
            return issued
        issued = Certificate.issued(person_id, number, bound, at=at, by=by)
        await self._store.certificates.insert(issued)
        return issued

    async def send_code(self, caller: Caller, person_id: str, phone: Phone, address: str) -> Challenge:
        """Send a code to a phone that is to be bound. Raises `NotFound`, 409 `phone_in_use`, 429."""
        security_events.attempt("phone_code", subject_of(person_id))
        certificate = await self._active(caller, person_id)
        await self._throttle.admit(address)
        index = (await self._phones.bound(person_id, phone)).index
        await self._throttle.admit_phone_code(caller.label, index)
        challenge = await self._codes.send(NewCode("bind_phone", certificate, phone.number, index, caller.label))
        security_events.record("phone_code", subject=subject_of(person_id))
        return challenge

    async def rebind(self, caller: Caller, person_id: str, phone: Phone, proof: Proof) -> Certificate:
        """Bind the active certificate to a phone that was proved by its code, and end the person's sessions.

        If a second clerk is needed, the rebinding is stored as pending. All other checks come before the code is used
        up. Raises 422 `reason_required`, 409 `phone_in_use`, `phone_full`.
        """
        security_events.attempt("certificate_rebinding", subject_of(person_id))
        certificate = await self._active(caller, person_id)
        require_reason(caller)
        bound = await self._phones.bound(person_id, phone)
        await self._prove(person_id, bound.index, proof)
        if review := await self._rebindings.required_review(caller, person_id):
            return await self._rebindings.request(caller, certificate, bound, review)
        await self._audit.record(caller, ISSUE_SCOPE, person_id, "phone_rebound", certificate_id(person_id))
        await self._phones.note_sharing(caller, person_id, bound.place)
        rebound = await retry_on_conflict(partial(self._rebind, caller, person_id, phone), races=(Conflict, Duplicate))
        security_events.record("certificate_rebinding", subject=subject_of(person_id))
        await self._sessions.end_all(person_id, "phone_changed")
        return rebound

    async def _prove(self, person_id: str, phone_index: str, proof: Proof) -> None:
        if proof.challenge_id is None or proof.code is None:
            raise InvalidFields.one("code", "required", "请填写新手机收到的动态密码")

        def sent_for(challenge: Challenge) -> bool:
            same_person = challenge.practitioner_id == person_id
            return challenge.purpose == "bind_phone" and same_person and challenge.phone_index == phone_index

        await self._codes.prove(proof.challenge_id, proof.code, proof.address, sent_for)

    async def revoke(self, caller: Caller, person_id: str) -> None:
        """Revoke the active certificate, and end the person's sessions. Raises `NotFound`."""
        security_events.attempt("certificate_revocation", subject_of(person_id))
        await retry_on_conflict(partial(self._revoke, caller, person_id))
        security_events.record("certificate_revocation", subject=subject_of(person_id))
        await self._sessions.end_all(person_id, "certificate_revoked")

    async def _rebind(self, caller: Caller, person_id: str, phone: Phone) -> Certificate:
        known, bound = await self._active(caller, person_id), await self._phones.bound(person_id, phone)
        rebound = known.rebound(bound, at=self._clock.now(), by=caller.label)
        await self._store.certificates.replace(rebound)
        return rebound

    async def _revoke(self, caller: Caller, person_id: str) -> None:
        known = await self._active(caller, person_id)
        await self._store.certificates.replace(known.revoked(at=self._clock.now(), by=caller.label))

    async def _active(self, caller: Caller, person_id: str) -> Certificate:
        """The active certificate, if the caller may change it. Raises 403, `NotFound`."""
        caller.require(role="clerk", scope=ISSUE_SCOPE)
        known = await self._store.certificate_of(person_id)
        if known is None or known.state != "active":
            raise NotFound
        return known
