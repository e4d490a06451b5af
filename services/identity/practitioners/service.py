"""Practitioners: registration, basic information, portrait."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial

from kit.core.clock import Clock, shanghai_date
from kit.core.errors import AppError, NotFound
from kit.core.ids import new_id
from kit.imports.model import Import, Outcome, write_decided
from kit.mongo import Conflict, Duplicate, retry_on_conflict
from kit.privacy.access_audit import AccessAudit
from kit.security.tokens import Caller
from services.identity.domain import READ_SCOPE, number_hint
from services.identity.keys import Keys, number_context
from services.identity.practitioners.candidates import AnotherPerson, Candidates
from services.identity.practitioners.domain import Particulars, Portrait, Practitioner
from services.identity.practitioners.lookups import Lookups
from services.identity.practitioners.portraits import Portraits
from services.identity.practitioners.registration import Registration
from services.identity.store import Store

CHECK_REASON = "登记时核对是否已有档案"


@dataclass(frozen=True)
class Registered:
    """A registered person, new or known before. `possible_duplicates`: how many others may be the same person."""

    person: Practitioner
    new: bool
    possible_duplicates: int = 0


@dataclass(frozen=True)
class Checked:
    """The result of a check: `known` has the identity document, or `candidates` may be the same person.

    Candidates come with their masked document number.
    """

    known: str | None
    expired: bool
    candidates: Sequence[tuple[Practitioner, str]]


class PractitionerService:
    """Registers people, and reads their basic information."""

    def __init__(
        self, store: Store, keys: Keys, portraits: Portraits, audit: AccessAudit, lookups: Lookups, clock: Clock
    ) -> None:
        self._store = store
        self._keys = keys
        self._portraits = portraits
        self._audit = audit
        self._lookups = lookups
        self._clock = clock
        self._candidates = Candidates(store, keys)

    async def check(self, caller: Caller, registration: Registration) -> Checked:
        """Check a registration without storing it; candidates see it in their access log. Raises as `register`, 429."""
        caller.require(role="clerk", scope="intake")
        cause = await self._lookups.admit(caller, 1)
        found = await self._with_document(registration)
        await self._match(found, registration)
        candidates = [] if found or registration.same_as else await self._candidates.of(registration)
        await self._audit.record_shown(caller, [person.id for person in candidates], "registration", CHECK_REASON)
        self._lookups.record(cause, 1, len(candidates) + (found is not None))
        expired = registration.expired(shanghai_date(self._clock.now()))
        hinted = [(person, number_hint(self._keys.numbers(person)[0])) for person in candidates]
        return Checked(found.id if found else None, expired, hinted)

    async def register(self, caller: Caller, registration: Registration) -> Registered:
        """Register a person, or write a new version of the one with this identity document or chosen by `same_as`.

        Raises 403, 409 `document_conflict`, `AnotherPerson`, 422.
        """
        return await retry_on_conflict(partial(self._register, caller, registration), races=(Conflict, Duplicate))

    async def _register(self, caller: Caller, registration: Registration) -> Registered:
        caller.require(role="clerk", scope="intake")
        known = await self._match(await self._with_document(registration), registration)
        if known is not None:
            return Registered(await self._read_again(caller, known, registration), new=False)
        duplicates = await self._candidates.of(registration)
        person_id = new_id()
        portrait = await self._portraits.store(person_id, registration.portrait)
        particulars, at = self._particulars(registration, person_id), self._clock.now()
        person = Practitioner.registered(person_id, particulars, portrait, at=at, by=caller.label)
        async with self._discarding(portrait):
            await self._store.practitioners.insert(person)
        return Registered(person, new=True, possible_duplicates=len(duplicates))

    async def _read_again(self, caller: Caller, person: Practitioner, registration: Registration) -> Practitioner:
        portrait = await self._portraits.store(person.id, registration.portrait, person)
        particulars = self._particulars(registration, person.id, person)
        again = person.read_again(particulars, portrait, at=self._clock.now(), by=caller.label)
        async with self._discarding(portrait):
            await self._store.practitioners.replace(again)
        return again

    @asynccontextmanager
    async def _discarding(self, portrait: Portrait | None) -> AsyncIterator[None]:
        """Discard the stored portrait if the document is not written because of a concurrent registration."""
        try:
            yield
        except (Conflict, Duplicate):
            await self._portraits.discard(portrait)
            raise

    async def _with_document(self, registration: Registration) -> Practitioner | None:
        """The person with this identity document or the former one. Raises 409 if these are two people's."""
        people = await self._store.people_with_key(self._keys.keys_of(registration))
        if len(people) > 1:
            raise AppError(409, "document_conflict", "证件号码与原证件号码分别属于两个人员，请核对后联系市受理服务中心")
        return people[0] if people else None

    async def _match(self, found: Practitioner | None, registration: Registration) -> Practitioner | None:
        """The known person to update: the one with the document, or the chosen one. Raises `AnotherPerson`, 422."""
        if found is None:
            return await self._candidates.chosen(registration) if registration.same_as else None
        own = self._keys.keys_of(registration)[0] in found.keys  # otherwise only the former number was found
        if registration.same_as not in (None, found.id) or not (own or self._candidates.may_be(found, registration)):
            raise AnotherPerson
        return found

    def _particulars(
        self, registration: Registration, person_id: str, known: Practitioner | None = None
    ) -> Particulars:
        number, former = self._encrypted_numbers(registration, person_id, known)
        return Particulars(
            document_type=registration.document_type,
            keys=_union(known.keys if known else [], self._keys.keys_of(registration)),
            number_indexes=_union(known.number_indexes if known else [], self._keys.indexes_of(registration)),
            number_sealed=number,
            former_numbers_sealed=former,
            name=registration.name,
            name_latin=registration.name_latin,
            sex=registration.sex,
            birth_date=registration.birth_date.isoformat(),
            ethnicity=registration.ethnicity,
            nationality=registration.nationality,
            address_sealed=self._encrypted(
                "address", person_id, registration.address, known.address_sealed if known else None
            ),
            authority=registration.authority,
            valid_from=_iso(registration.valid_from),
            valid_to=_iso(registration.valid_to),
            long_term=registration.long_term,
            source=registration.source,
            device_id=registration.reader.device_id if registration.reader else None,
            card_read_at=self._clock.now() if registration.source == "card_reader" else None,
        )

    def _encrypted_numbers(
        self, registration: Registration, person_id: str, known: Practitioner | None
    ) -> tuple[str, list[str]]:
        """The current number and all former ones; known numbers keep their ciphertext."""
        context = number_context(person_id)
        stored = [*known.former_numbers_sealed, known.number_sealed] if known else []
        encrypted = {self._keys.rest.decrypt(each, context): each for each in stored}
        for number in registration.numbers:
            encrypted.setdefault(number, self._keys.rest.encrypt(number, context))
        current = encrypted.pop(registration.document_number)
        return current, list(encrypted.values())

    def _encrypted(self, name: str, person_id: str, value: str | None, stored: str | None) -> str | None:
        """The encrypted value; an unchanged one keeps its ciphertext, so that the history has no change."""
        context = f"{name}:{person_id}"
        if stored is not None and self._keys.rest.decrypt(stored, context) == value:
            return stored
        return None if value is None else self._keys.rest.encrypt(value, context)

    async def load(self, job: Import, registrations: Sequence[Registration]) -> list[Outcome]:
        """Register the rows of an import. People whom a window registered stay unchanged: its data are newer."""
        keys = [self._keys.keys_of(one) for one in registrations]
        known = await self._store.people_by_key(key for each in keys for key in each)
        decided = [self._decide(job, one, known.get(key)) for one, [key] in zip(registrations, keys, strict=True)]
        return await write_decided(self._store.practitioners.write_many, decided)

    def _decide(
        self, job: Import, registration: Registration, known: Practitioner | None
    ) -> tuple[Outcome, Practitioner | None]:
        at, person_id = self._clock.now(), known.id if known else new_id()
        if known and known.source != "import":
            return "unchanged", None
        particulars = self._particulars(registration, person_id, known)
        if known is None:
            return "created", Practitioner.registered(person_id, particulars, at=at, by=job.by)
        again = known.imported_again(particulars, at=at, by=job.by)
        return ("updated", again) if again.changed else (job.outcome_of(known), None)

    async def get(self, caller: Caller, person: str) -> Practitioner:
        """A person, for themselves, or, audited, for staff and API clients. Raises 403, `NotFound`."""
        owner = await self._audit.authorize_read(caller, person, READ_SCOPE, "practitioner", person)
        found = await self._store.practitioners.get(owner)
        if found is None:
            raise NotFound
        return found

    def decrypted(self, person: Practitioner) -> dict[str, object]:
        """The decrypted fields: `document_number`, `former_numbers`, `address`."""
        number, *former = self._keys.numbers(person)
        address = person.address_sealed and self._keys.rest.decrypt(person.address_sealed, f"address:{person.id}")
        return {"document_number": number, "former_numbers": former, "address": address}

    async def portrait(self, caller: Caller, person: str) -> bytes:
        """The portrait as JPEG. Raises `NotFound`."""
        owner = await self._audit.authorize_read(caller, person, READ_SCOPE, "portrait", person)
        return await self._portraits.read(await self._store.practitioners.get(owner))


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _union(known: list[str], more: list[str]) -> list[str]:
    """Both lists in order, without duplicates."""
    return list(dict.fromkeys([*known, *more]))
