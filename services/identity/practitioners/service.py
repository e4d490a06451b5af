"""Who a person is: registration, basic information."""

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
    """A person as they were registered: new, or known already. `possible_duplicates`: others they may be."""

    person: Practitioner
    new: bool
    possible_duplicates: int = 0


@dataclass(frozen=True)
class Checked:
    """What a window should know before it registers somebody: who has the document, or who they may be already.

    Of a candidate's document number only a hint is told.
    """

    known: str | None
    expired: bool
    candidates: Sequence[tuple[Practitioner, str]]


class IdentityService:
    """Registers people, shows who they are."""

    def __init__(
        self, store: Store, keys: Keys, portraits: Portraits, looks: AccessAudit, lookups: Lookups, clock: Clock
    ) -> None:
        self._store = store
        self._keys = keys
        self._portraits = portraits
        self._looks = looks
        self._lookups = lookups
        self._clock = clock
        self._candidates = Candidates(store, keys)

    async def check(self, caller: Caller, given: Registration) -> Checked:
        """What `register` would meet; nothing is changed. Who is shown as a candidate sees it in their access log."""
        caller.require(role="clerk", scope="intake")
        cause = await self._lookups.admitted(caller, 1)
        found = await self._with_document(given)
        await self._same(found, given)
        candidates = [] if found or given.same_as else await self._candidates.of(given)
        await self._looks.shown(caller, [person.id for person in candidates], "registration", CHECK_REASON)
        self._lookups.record(cause, 1, len(candidates) + (found is not None))
        expired = given.expired(shanghai_date(self._clock.now()))
        hinted = [(person, number_hint(self._keys.numbers(person)[0])) for person in candidates]
        return Checked(found.id if found else None, expired, hinted)

    async def register(self, caller: Caller, given: Registration) -> Registered:
        """Register a person, or make a new version of one whose document is known, or who is chosen by `same_as`."""
        return await retry_on_conflict(partial(self._register, caller, given), races=(Conflict, Duplicate))

    async def _register(self, caller: Caller, given: Registration) -> Registered:
        caller.require(role="clerk", scope="intake")
        known = await self._same(await self._with_document(given), given)
        if known is not None:
            return Registered(await self._read_again(caller, known, given), new=False)
        duplicates = await self._candidates.of(given)
        person_id = new_id()
        kept = await self._portraits.keep(person_id, given.portrait)
        particulars, at = self._particulars(given, person_id), self._clock.now()
        person = Practitioner.registered(person_id, particulars, kept, at=at, by=caller.label)
        async with self._discarding(kept):
            await self._store.practitioners.insert(person)
        return Registered(person, new=True, possible_duplicates=len(duplicates))

    async def _read_again(self, caller: Caller, person: Practitioner, given: Registration) -> Practitioner:
        kept = await self._portraits.keep(person.id, given.portrait, person)
        particulars = self._particulars(given, person.id, person)
        again = person.read_again(particulars, kept, at=self._clock.now(), by=caller.label)
        async with self._discarding(kept):
            await self._store.practitioners.replace(again)
        return again

    @asynccontextmanager
    async def _discarding(self, kept: Portrait | None) -> AsyncIterator[None]:
        """Remove the portrait again when another window is quicker."""
        try:
            yield
        except (Conflict, Duplicate):
            await self._portraits.discard(kept)
            raise

    async def _with_document(self, given: Registration) -> Practitioner | None:
        """The person with this document, or with the one before it. Raises 409 when those are two people."""
        people = await self._store.people_with_key(self._keys.keys_of(given))
        if len(people) > 1:
            raise AppError(409, "document_conflict", "证件号码与原证件号码分别属于两个人员，请核对后联系市受理服务中心")
        return people[0] if people else None

    async def _same(self, found: Practitioner | None, given: Registration) -> Practitioner | None:
        """Who has the document, if it can be theirs, or who was chosen. Raises `AnotherPerson`."""
        if found is None:
            return await self._candidates.chosen(given) if given.same_as else None
        own = self._keys.keys_of(given)[0] in found.keys  # else it is known by the former number alone
        if given.same_as not in (None, found.id) or not (own or self._candidates.may_be(found, given)):
            raise AnotherPerson
        return found

    def _particulars(self, given: Registration, person_id: str, known: Practitioner | None = None) -> Particulars:
        number, former = self._sealed_numbers(given, person_id, known)
        return Particulars(
            document_type=given.document_type,
            keys=_union(known.keys if known else [], self._keys.keys_of(given)),
            number_indexes=_union(known.number_indexes if known else [], self._keys.indexes_of(given)),
            number_sealed=number,
            former_numbers_sealed=former,
            name=given.name,
            name_latin=given.name_latin,
            sex=given.sex,
            birth_date=given.birth_date.isoformat(),
            ethnicity=given.ethnicity,
            nationality=given.nationality,
            address_sealed=self._seal_field(
                "address", person_id, given.address, known.address_sealed if known else None
            ),
            authority=given.authority,
            valid_from=_written(given.valid_from),
            valid_to=_written(given.valid_to),
            long_term=given.long_term,
            source=given.source,
            device_id=given.reader.device_id if given.reader else None,
            card_read_at=self._clock.now() if given.source == "card_reader" else None,
        )

    def _sealed_numbers(self, given: Registration, person_id: str, known: Practitioner | None) -> tuple[str, list[str]]:
        """The number of now, and all others there ever were; what was known stays as it was sealed."""
        context = number_context(person_id)
        kept = [*known.former_numbers_sealed, known.number_sealed] if known else []
        sealed = {self._keys.rest.open(each, context): each for each in kept}
        for number in given.numbers:
            sealed.setdefault(number, self._keys.rest.seal(number, context))
        current = sealed.pop(given.document_number)
        return current, list(sealed.values())

    def _seal_field(self, name: str, person_id: str, value: str | None, sealed_before: str | None) -> str | None:
        """Sealed; what did not change stays as it was sealed, so that the history shows no change."""
        context = f"{name}:{person_id}"
        if sealed_before is not None and self._keys.rest.open(sealed_before, context) == value:
            return sealed_before
        return None if value is None else self._keys.rest.seal(value, context)

    async def load(self, job: Import, given: Sequence[Registration]) -> list[Outcome]:
        """Register many from a list. Whom a window has seen stays as the window saw them: that is newer than a list."""
        keys = [self._keys.keys_of(one) for one in given]
        known = await self._store.people_by_key(key for each in keys for key in each)
        decided = [self._loaded(job, one, known.get(key)) for one, [key] in zip(given, keys, strict=True)]
        return await write_decided(self._store.practitioners.write_many, decided)

    def _loaded(
        self, job: Import, given: Registration, known: Practitioner | None
    ) -> tuple[Outcome, Practitioner | None]:
        at, person_id = self._clock.now(), known.id if known else new_id()
        if known and known.source != "import":
            return "unchanged", None
        particulars = self._particulars(given, person_id, known)
        if known is None:
            return "created", Practitioner.registered(person_id, particulars, at=at, by=job.by)
        again = known.imported_again(particulars, at=at, by=job.by)
        return ("updated", again) if again.changed else (job.outcome_of(known), None)

    async def get(self, caller: Caller, person: str) -> Practitioner:
        """A person's basic information: their own, or read by staff or a client and written down."""
        owner = await self._looks.owner(caller, person, READ_SCOPE, "practitioner", person)
        found = await self._store.practitioners.get(owner)
        if found is None:
            raise NotFound
        return found

    def opened(self, person: Practitioner) -> dict[str, object]:
        """What is sealed, in plain: `document_number`, `former_numbers`, `address`."""
        number, *former = self._keys.numbers(person)
        address = person.address_sealed and self._keys.rest.open(person.address_sealed, f"address:{person.id}")
        return {"document_number": number, "former_numbers": former, "address": address}

    async def portrait(self, caller: Caller, person: str) -> bytes:
        """The portrait as JPEG. Raises `NotFound`."""
        owner = await self._looks.owner(caller, person, READ_SCOPE, "portrait", person)
        return await self._portraits.show(await self._store.practitioners.get(owner))


def _written(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _union(known: list[str], more: list[str]) -> list[str]:
    return list(dict.fromkeys([*known, *more]))
