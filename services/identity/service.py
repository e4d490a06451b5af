"""Who a person is and which phone they use: registration and digital certificates."""

import secrets
from dataclasses import dataclass

from contracts.identity import CONTACT_CONTEXT
from kit.auth import Caller
from kit.clock import Clock
from kit.errors import AppError, NotFound
from kit.ids import new_id
from kit.mongo import Conflict, Duplicate
from kit.seal import Sealer, keyed_hash
from services.identity.documents import normalised
from services.identity.domain import Registration, hint
from services.identity.store import Certificate, Practitioner, Store, certificate_id


@dataclass(frozen=True)
class Keys:
    """What seals at rest, what seals for notify, and what makes blind indexes."""

    rest: Sealer
    bus: Sealer
    index: bytes

    def number_index(self, number: str) -> str:
        """Finds a person by a normalised document number."""
        return keyed_hash(self.index, "document_number", number)

    def phone_index(self, phone: str) -> str:
        """Compares phones without knowing them."""
        return keyed_hash(self.index, "phone", phone)


class IdentityService:
    """Registers people and keeps their certificates."""

    def __init__(self, store: Store, keys: Keys, clock: Clock) -> None:
        self._store, self._keys, self._clock = store, keys, clock

    async def register(self, caller: Caller, given: Registration) -> tuple[Practitioner, bool]:
        """Register a person, or make a new version of one whose document is known; True when they are new."""
        caller.require(role="clerk", scope="intake")
        known = await self._by_key(self._key(given))
        if known is not None:
            return await self._read_again(caller, known, given), False
        person_id = new_id()
        person = Practitioner.first(
            at=self._clock.now(), by=caller.label, action="registered", id=person_id, **self._fields(given, person_id)
        )
        try:
            await self._store.practitioners.insert(person)
        except Duplicate:  # registered at another window this very moment
            return await self.register(caller, given)
        await self._keep_portrait(person, given)
        return person, True

    async def _read_again(self, caller: Caller, person: Practitioner, given: Registration) -> Practitioner:
        fields = self._fields(given, person.id, person)
        following = person.following(at=self._clock.now(), by=caller.label, action="read_again", **fields)
        try:
            await self._store.practitioners.replace(following)
        except Conflict:
            return (await self.register(caller, given))[0]
        await self._keep_portrait(following, given)
        return following

    async def _by_key(self, key: str) -> Practitioner | None:
        return await self._store.practitioners.find_one({"key": key})

    def _key(self, given: Registration) -> str:
        return f"{given.document_type}:{self._keys.number_index(given.document_number)}"

    def _fields(self, given: Registration, person_id: str, known: Practitioner | None = None) -> dict[str, object]:
        plain = given.model_dump(mode="json", exclude={"document_number", "address", "portrait", "reader"})
        number = self._seal_field(
            "document_number", person_id, given.document_number, known.number_sealed if known else None
        )
        address = self._seal_field("address", person_id, given.address, known.address_sealed if known else None)
        return {
            **plain,
            "key": self._key(given),
            "number_index": self._keys.number_index(given.document_number),
            "number_sealed": number,
            "address_sealed": address,
            "device_id": given.reader.device_id if given.reader else None,
        }

    def _seal_field(self, name: str, person_id: str, value: str | None, sealed_before: str | None) -> str | None:
        """Sealed; what did not change stays as it was sealed, so that the history shows no change."""
        context = f"{name}:{person_id}"
        if sealed_before is not None and self._keys.rest.open(sealed_before, context) == value:
            return sealed_before
        return None if value is None else self._keys.rest.seal(value, context)

    async def _keep_portrait(self, person: Practitioner, given: Registration) -> None:
        if given.portrait is not None:
            sealed = self._keys.rest.seal(given.portrait.hex(), f"portrait:{person.id}")
            await self._store.portraits.put(person.id, person.version, {"sealed": sealed})

    async def lookup(self, caller: Caller, document_type: str, number: str) -> str:
        """The id of the person with this document. Raises `NotFound`."""
        caller.require(scope="practitioners:lookup")
        person = await self._by_key(f"{document_type}:{self._keys.number_index(normalised(number))}")
        if person is None:
            raise NotFound
        return person.id

    async def get(self, caller: Caller, person: str) -> Practitioner:
        """A person's own basic information."""
        found = await self._store.practitioners.get(caller.own(person))
        if found is None:
            raise NotFound
        return found

    def opened(self, person: Practitioner) -> tuple[str, str | None]:
        """Document number and address in plain."""
        address = person.address_sealed
        return (
            self._keys.rest.open(person.number_sealed, f"document_number:{person.id}"),
            None if address is None else self._keys.rest.open(address, f"address:{person.id}"),
        )

    async def portrait(self, caller: Caller, person: str) -> bytes:
        """The portrait as JPEG. Raises `NotFound`."""
        owner = caller.own(person)
        found = await self._store.portraits.get(owner)
        if found is None:
            raise NotFound
        return bytes.fromhex(self._keys.rest.open(str(found["sealed"]), f"portrait:{owner}"))

    async def issue_certificate(self, caller: Caller, person_id: str, phone: str) -> Certificate:
        """Open self-service for a person with this phone. Raises 409 when a certificate is active."""
        caller.require(role="clerk", scope="certificates:issue")
        if await self._store.practitioners.get(person_id) is None:
            raise NotFound
        known = await self._store.certificate_of(person_id)
        if known is not None and known.state == "active":
            raise AppError(409, "certificate_active", "该人员已申领个人数字证书，如需更换手机号码请办理变更")
        try:
            return await self._issue(caller, person_id, phone, known)
        except (Duplicate, Conflict):
            return await self.issue_certificate(caller, person_id, phone)

    async def _issue(self, caller: Caller, person_id: str, phone: str, known: Certificate | None) -> Certificate:
        fields = {"certificate_no": _certificate_no(), "state": "active", **self._bound(person_id, phone)}
        at, by = self._clock.now(), caller.label
        if known is not None:
            issued = known.following(at=at, by=by, action="issued", **fields)
            await self._store.certificates.replace(issued)
            return issued
        identity = {"id": certificate_id(person_id), "practitioner_id": person_id}
        issued = Certificate.first(at=at, by=by, action="issued", **identity, **fields)
        await self._store.certificates.insert(issued)
        return issued

    async def rebind_certificate(self, caller: Caller, person_id: str, phone: str) -> Certificate:
        """Bind the active certificate to another phone; sessions of the old one can't be refreshed any more."""
        return await self._change_certificate(caller, person_id, "rebound", self._bound(person_id, phone))

    async def revoke_certificate(self, caller: Caller, person_id: str) -> None:
        """Close self-service; the person's sessions can't be refreshed any more."""
        await self._change_certificate(caller, person_id, "revoked", {"state": "revoked", "contact": None})

    async def _change_certificate(
        self, caller: Caller, person_id: str, action: str, fields: dict[str, object]
    ) -> Certificate:
        caller.require(role="clerk", scope="certificates:issue")
        known = await self._store.certificate_of(person_id)
        if known is None or known.state != "active":
            raise NotFound
        changed = known.following(at=self._clock.now(), by=caller.label, action=action, **fields)
        try:
            await self._store.certificates.replace(changed)
        except Conflict:
            return await self._change_certificate(caller, person_id, action, fields)
        return changed

    def _bound(self, person_id: str, phone: str) -> dict[str, object]:
        contact = self._keys.bus.seal(phone, f"{CONTACT_CONTEXT}:{person_id}")
        return {"phone_index": self._keys.phone_index(phone), "phone_hint": hint(phone), "contact": contact}


def _certificate_no() -> str:
    return f"SH{secrets.randbelow(10**12):012d}"
