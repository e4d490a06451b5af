"""Who a newcomer at a window may be already, under another document: one person, one file (decision 0037)."""

from kit.core.errors import AppError, InvalidFields
from services.identity.domain import same_name
from services.identity.keys import Keys, document_key
from services.identity.practitioners.domain import Practitioner
from services.identity.practitioners.identity_documents import lifelong
from services.identity.practitioners.registration import Registration
from services.identity.store import Store

MAX_CANDIDATES = 10


class AnotherPerson(AppError):
    """The document can't be that of the person whose file was chosen."""

    def __init__(self) -> None:
        super().__init__(409, "different_person", "该证件属于另一人，没有做任何更改，请核对证件和所选人员")


class Candidates:
    """Finds people by name and birth date, or by a number they gave, and judges whether they may be the newcomer."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store, self._keys = store, keys

    async def of(self, given: Registration) -> list[Practitioner]:
        """Who may be the same person, those with the same number first, then the newest."""
        indexes = self._keys.indexes_of(given)
        by_number = await self._store.people_with_number(indexes)
        born_then = await self._store.people_born_on(given.birth_date.isoformat())
        alike = sorted((person for person in born_then if _same_name(person, given)), key=_age)
        people = {person.id: person for person in [*by_number, *alike]}
        return [person for person in people.values() if self.may_be(person, given)][:MAX_CANDIDATES]

    async def chosen(self, given: Registration) -> Practitioner:
        """The person of `same_as`. Raises 422 where there is nobody, `AnotherPerson` where it can't be them."""
        person = await self._store.practitioners.get(given.same_as or "")
        if person is None:
            raise InvalidFields.one("same_as", "unknown_person", "没有找到所选的人员，请重新选择")
        if not self.may_be(person, given):
            raise AnotherPerson
        return person

    def may_be(self, person: Practitioner, given: Registration) -> bool:
        """Names change and birth dates are corrected, but not both at once; a number for life stays."""
        born = person.birth_date == given.birth_date.isoformat()
        return (born or _same_name(person, given)) and not self._has_another_for_life(person, given)

    def _has_another_for_life(self, person: Practitioner, given: Registration) -> bool:
        own = self._for_life(given, given.document_number)
        held = {self._for_life(given, number) for number in self._keys.numbers(person)} & set(person.keys)
        return own is not None and bool(held - {own})

    def _for_life(self, given: Registration, number: str) -> str | None:
        """The key that such a document has with this number, where it is one for life."""
        lasting = lifelong(given.document_type, number)
        return lasting and document_key(given.document_type, given.nationality, self._keys.number_index(lasting))


def _age(person: Practitioner) -> float:
    return -person.created_at.timestamp()


def _same_name(person: Practitioner, given: Registration) -> bool:
    """In either script: a passport tells the Latin name only, a card both."""
    return same_name((person.name, person.name_latin), (given.name, given.name_latin))
