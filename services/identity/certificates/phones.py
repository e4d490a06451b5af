"""Which phone a certificate can be bound to: the person's own, or, with a reason, one shared by few others."""

from dataclasses import dataclass, replace

from kit.core.errors import AppError
from kit.privacy.access_audit import AccessAudit
from kit.security.tokens import Caller
from services.identity.certificates.domain import BoundPhone, Place, certificate_id
from services.identity.domain import phone_hint
from services.identity.keys import Keys
from services.identity.store import PEOPLE_OF_A_PHONE, Store

ISSUE_SCOPE = "certificates:issue"


@dataclass(frozen=True)
class Phone:
    """A phone to be bound; `shared_reason`: why it may be shared with another person."""

    number: str
    shared_reason: str | None = None


class Phones:
    """Assigns people their places among those who share a phone."""

    def __init__(self, store: Store, keys: Keys, audit: AccessAudit) -> None:
        self._store = store
        self._keys = keys
        self._audit = audit

    async def bound(self, person_id: str, phone: Phone) -> BoundPhone:
        """The phone as the person's certificate stores it. Raises 409 `phone_in_use`, `phone_full`."""
        index, contact = self._keys.phone_index(phone.number), self._keys.contact(phone.number, person_id)
        return BoundPhone(
            index, phone_hint(phone.number), contact, await self.place(person_id, index, phone.shared_reason)
        )

    async def place(self, person_id: str, index: str, shared_reason: str | None) -> Place:
        """The person's place among those who share the phone: the first free one.

        A unique index on phone and place keeps concurrent requests from exceeding the limit. Raises 409 `phone_in_use`
        if the phone is another person's and no reason is given, `phone_full`.
        """
        others = [each for each in await self._store.bound_to(index) if each.practitioner_id != person_id]
        if others and shared_reason is None:
            raise AppError(409, "phone_in_use", "该手机号码已绑定其他人员。确需共用的，请说明原因")
        if len(others) >= PEOPLE_OF_A_PHONE:
            raise AppError(409, "phone_full", f"该手机号码已由{PEOPLE_OF_A_PHONE}人共用，请使用其他手机号码")
        place = min(set(range(PEOPLE_OF_A_PHONE)) - {each.place for each in others})
        return Place(place, shared_reason if others else None)

    async def note_sharing(self, caller: Caller, person_id: str, place: Place) -> None:
        """Record in the person's access log who bound a shared phone, and why."""
        if place.shared_reason:
            why = replace(caller, reason=place.shared_reason)
            await self._audit.record(why, ISSUE_SCOPE, person_id, "phone_shared", certificate_id(person_id))
