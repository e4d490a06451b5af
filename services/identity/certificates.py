"""Digital certificates: issued, bound to another phone, revoked; and how many people may share a phone."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from kit import security
from kit.access import Looks
from kit.auth import Caller
from kit.clock import Clock
from kit.errors import AppError, InvalidFields, NotFound
from kit.mongo import Conflict, Duplicate
from services.identity.codes import Codes, Wanted
from services.identity.domain import READ_SCOPE, hint
from services.identity.keys import Keys
from services.identity.sessions import Sessions
from services.identity.store import PEOPLE_OF_A_PHONE, Certificate, Challenge, Store, certificate_id
from services.identity.throttle import Throttle

ISSUE_SCOPE = "certificates:issue"


@dataclass(frozen=True)
class Phone:
    """A phone to be bound; `shared_reason`: why it may be, when it is somebody else's too."""

    number: str
    shared_reason: str | None = None


@dataclass(frozen=True)
class Proof:
    """The code that came on the new phone; None: there is none."""

    challenge_id: str | None
    code: str | None
    address: str


class Certificates:
    """Opens and closes self-service for people, by the phone that is theirs."""

    def __init__(
        self, store: Store, keys: Keys, codes: Codes, looks: Looks, sessions: Sessions, throttle: Throttle, clock: Clock
    ) -> None:
        self._store, self._keys, self._codes, self._looks = store, keys, codes, looks
        self._sessions, self._throttle, self._clock = sessions, throttle, clock
        security.begin("", event="certificate_rebinding", outcome="done")

    async def of_person(self, caller: Caller, person: str) -> Certificate:
        """A person's certificate, in whichever state it is. Raises `NotFound`."""
        owner = await self._looks.owner(caller, person, READ_SCOPE, "certificate", person)
        found = await self._store.certificate_of(owner)
        if found is None:
            raise NotFound
        return found

    async def issue(self, caller: Caller, person_id: str, phone: Phone) -> Certificate:
        """Open self-service for a person with this phone. Raises 409: a certificate is active, the phone is in use."""
        security.attempt("certificate_issue", _subject(person_id))
        caller.require(role="clerk", scope=ISSUE_SCOPE)
        if await self._store.practitioners.get(person_id) is None:
            raise NotFound
        known = await self._store.certificate_of(person_id)
        if known is not None and known.state == "active":
            raise AppError(409, "certificate_active", "该人员已申领个人数字证书，如需更换手机号码请办理变更")
        fields = await self._bound(person_id, phone)
        await self._note_sharing(caller, person_id, fields)
        try:
            issued = await self._issue(caller, person_id, fields, known)
        except (Duplicate, Conflict):
            return await self.issue(caller, person_id, phone)
        security.record("certificate_issue", subject=_subject(person_id))
        return issued

    async def _issue(
        self, caller: Caller, person_id: str, bound: dict[str, object], known: Certificate | None
    ) -> Certificate:
        fields = {"certificate_no": _certificate_no(), "state": "active", **bound}
        at, by = self._clock.now(), caller.label
        if known is not None:
            issued = known.following(at=at, by=by, action="issued", **fields)
            await self._store.certificates.replace(issued)
            return issued
        identity = {"id": certificate_id(person_id), "practitioner_id": person_id}
        issued = Certificate.first(at=at, by=by, action="issued", **identity, **fields)
        await self._store.certificates.insert(issued)
        return issued

    async def send_code(self, caller: Caller, person_id: str, phone: Phone, address: str) -> Challenge:
        """Send a code to a phone that is to be bound. Raises `NotFound`, 409 `phone_in_use`, 429."""
        security.attempt("phone_code", _subject(person_id))
        certificate = await self._active(caller, person_id)
        await self._throttle.admit(address)
        index = str((await self._bound(person_id, phone))["phone_index"])
        await self._throttle.admit_phone_code(caller.label, index)
        challenge = await self._codes.send(Wanted("bind_phone", certificate, phone.number, index, caller.label))
        security.record("phone_code", subject=_subject(person_id))
        return challenge

    async def rebind(self, caller: Caller, person_id: str, phone: Phone, proof: Proof) -> Certificate:
        """Bind the active certificate to a phone that was proved by its code; ends the person's sessions.

        All that may be refused is looked at before the code is spent.
        """
        security.attempt("certificate_rebinding", _subject(person_id))
        await self._active(caller, person_id)
        bound = await self._bound(person_id, phone)
        await self._prove(person_id, str(bound["phone_index"]), proof)
        await self._looks.note(caller, ISSUE_SCOPE, person_id, "phone_rebound", certificate_id(person_id))
        await self._note_sharing(caller, person_id, bound)
        certificate = await self._change(caller, person_id, "rebound", partial(self._bound, person_id, phone))
        security.record("certificate_rebinding", subject=_subject(person_id))
        await self._sessions.end_all(person_id, "phone_changed")
        return certificate

    async def _prove(self, person_id: str, phone_index: str, proof: Proof) -> None:
        if proof.challenge_id is None or proof.code is None:
            raise InvalidFields.one("code", "required", "请填写新手机收到的动态密码")

        def sent_for(challenge: Challenge) -> bool:
            same_person = challenge.practitioner_id == person_id
            return challenge.purpose == "bind_phone" and same_person and challenge.phone_index == phone_index

        await self._codes.prove(proof.challenge_id, proof.code, proof.address, sent_for)

    async def revoke(self, caller: Caller, person_id: str) -> None:
        """Close self-service; ends the person's sessions."""
        security.attempt("certificate_revocation", _subject(person_id))
        await self._change(caller, person_id, "revoked", self._nothing)
        security.record("certificate_revocation", subject=_subject(person_id))
        await self._sessions.end_all(person_id, "certificate_revoked")

    async def _change(
        self, caller: Caller, person_id: str, action: str, fields: Callable[[], Awaitable[dict[str, object]]]
    ) -> Certificate:
        known = await self._active(caller, person_id)
        changed = known.following(at=self._clock.now(), by=caller.label, action=action, **await fields())
        try:
            await self._store.certificates.replace(changed)
        except (Conflict, Duplicate):
            return await self._change(caller, person_id, action, fields)
        return changed

    async def _nothing(self) -> dict[str, object]:
        return {"state": "revoked", "contact": None}

    async def _active(self, caller: Caller, person_id: str) -> Certificate:
        """The active certificate, for who may change it. Raises 403, `NotFound`."""
        caller.require(role="clerk", scope=ISSUE_SCOPE)
        known = await self._store.certificate_of(person_id)
        if known is None or known.state != "active":
            raise NotFound
        return known

    async def _bound(self, person_id: str, phone: Phone) -> dict[str, object]:
        """A certificate's fields for this phone. Raises 409 when it is another person's and nobody says why it may be.

        `place` is the first that is free, unique for a phone: of many who bind it at once, none is one too many.
        """
        number, index = phone.number, self._keys.phone_index(phone.number)
        others = [each for each in await self._store.bound_to(index) if each.practitioner_id != person_id]
        if others and phone.shared_reason is None:
            raise AppError(409, "phone_in_use", "该手机号码已绑定其他人员。确需共用的，请说明原因")
        if len(others) >= PEOPLE_OF_A_PHONE:
            raise AppError(409, "phone_full", f"该手机号码已由{PEOPLE_OF_A_PHONE}人共用，请使用其他手机号码")
        taken = {each.place for each in others}
        return {
            "phone_index": index, "phone_hint": hint(number), "contact": self._keys.contact(number, person_id),
            "place": min(set(range(PEOPLE_OF_A_PHONE)) - taken),
            "shared_reason": phone.shared_reason if others else None,
        }  # fmt: skip

    async def _note_sharing(self, caller: Caller, person_id: str, bound: dict[str, object]) -> None:
        """The person sees in their access log who bound a shared phone, and why."""
        if reason := bound["shared_reason"]:
            why = replace(caller, reason=str(reason))
            await self._looks.note(why, ISSUE_SCOPE, person_id, "phone_shared", certificate_id(person_id))


def _subject(person_id: str) -> str:
    return f"practitioner:{person_id}"


def _certificate_no() -> str:
    return f"SH{secrets.randbelow(10**12):012d}"
