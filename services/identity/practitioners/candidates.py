"""Known people who may be the one being registered with another identity document: one person has one dossier.

See decision 0037.
"""

from kit.core.errors import AppError, InvalidFields
from services.identity.domain import share_name
from services.identity.keys import Keys, document_key
from services.identity.practitioners.domain import Practitioner
from services.identity.practitioners.identity_documents import lifelong
from services.identity.practitioners.registration import Registration
from services.identity.store import Store

MAX_CANDIDATES = 10


class AnotherPerson(AppError):
    """The identity document can't belong to the known or chosen person."""

    def __init__(self) -> None:
        super().__init__(409, "different_person", "该证件属于另一人，没有做任何更改，请核对证件和所选人员")


class Candidates:
    """Finds known people by name and birth date, or by document number, who may be the one being registered."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store, self._keys = store, keys

    async def of(self, registration: Registration) -> list[Practitioner]:
        """Who may be the same person: first those with the same document number, then the newest."""
        indexes = self._keys.indexes_of(registration)
        by_number = await self._store.people_with_number(indexes)
        same_birth_date = await self._store.people_born_on(registration.birth_date.isoformat())
        same_name = sorted(
            (person for person in same_birth_date if _same_name(person, registration)), key=_newest_first
        )
        people = {person.id: person for person in [*by_number, *same_name]}
        return [person for person in people.values() if self.may_be(person, registration)][:MAX_CANDIDATES]

    async def chosen(self, registration: Registration) -> Practitioner:
        """The person chosen by `same_as`. Raises 422 if there is none, `AnotherPerson` if it can't be the same one."""
        person = await self._store.practitioners.get(registration.same_as or "")
        if person is None:
            raise InvalidFields.one("same_as", "unknown_person", "没有找到所选的人员，请重新选择")
        if not self.may_be(person, registration):
            raise AnotherPerson
        return person

    def may_be(self, person: Practitioner, registration: Registration) -> bool:
        """Whether both may be one person: name or birth date is equal, and no lifelong document number differs.

        Names change and birth dates are corrected, but not both at once.
        """
        born = person.birth_date == registration.birth_date.isoformat()
        return (born or _same_name(person, registration)) and not self._lifelong_number_differs(person, registration)

    def _lifelong_number_differs(self, person: Practitioner, registration: Registration) -> bool:
        new = self._lifelong_key(registration, registration.document_number)
        known = {self._lifelong_key(registration, number) for number in self._keys.numbers(person)} & set(person.keys)
        return new is not None and bool(known - {new})

    def _lifelong_key(self, registration: Registration, number: str) -> str | None:
        """The document key of a number on a document of the registration's type; None if it is not lifelong."""
        lasting = lifelong(registration.document_type, number)
        return lasting and document_key(
            registration.document_type, registration.nationality, self._keys.number_index(lasting)
        )


def _newest_first(person: Practitioner) -> float:
    return -person.created_at.timestamp()


def _same_name(person: Practitioner, registration: Registration) -> bool:
    """In either script: a passport has only the Latin name, a card may have both."""
    return share_name((person.name, person.name_latin), (registration.name, registration.name_latin))
