"""Whose document a number is: asked by windows and API clients. Each look-up is counted, capped and written down."""

from collections.abc import Sequence
from dataclasses import dataclass

from kit.core.errors import AppError, NotFound
from kit.privacy.access_audit import AccessAudit
from kit.security import security_events
from kit.security.tokens import Caller
from services.identity.keys import Keys, document_key
from services.identity.practitioners.domain import Practitioner
from services.identity.practitioners.identity_documents import DocumentType, lasting
from services.identity.store import Store
from services.identity.throttle import Throttle

SCOPE = "practitioners:lookup"
USUAL, MANY = "usual", "many"


@dataclass(frozen=True)
class LookupKey:
    """A document whose owner is looked for; a passport's number is only unique with the country that issued it."""

    document_type: DocumentType
    number: str
    country: str | None = None

    def fits(self, person: Practitioner, number_index: str) -> bool:
        """Whether a person with this number has or had it on such a document."""
        if self.document_type == "passport" and self.country is None:
            return any(key.startswith("passport:") and key.endswith(f":{number_index}") for key in person.keys)
        known = document_key(self.document_type, self.country, number_index) in person.keys
        return known and (self.document_type == "passport" or self.country in (None, person.nationality))


class Lookups:
    """Finds people by their documents. Who is found sees who looked, unless it was a service of this system."""

    def __init__(
        self, store: Store, keys: Keys, looks: AccessAudit, throttle: Throttle, own_clients: Sequence[str]
    ) -> None:
        self._store = store
        self._keys = keys
        self._looks = looks
        self._throttle = throttle
        self._own_clients = own_clients
        security_events.initialise(USUAL, MANY, event="people_lookup", outcome="done")
        security_events.initialise("limit_lookups", event="people_lookup", outcome="throttled")

    async def one(self, caller: Caller, asked: LookupKey) -> str:
        """The id of the person with this document. Raises `NotFound`; 409 when it needs the passport's country."""
        [people] = await self.many(caller, [asked])
        if len(people) > 1:
            raise AppError(409, "document_ambiguous", "有多本护照使用该号码，请同时提供签发国")
        if not people:
            raise NotFound
        return people[0]

    async def many(self, caller: Caller, asked: Sequence[LookupKey]) -> list[list[str]]:
        """Who has each of these documents: one id, none, or several where it needs the passport's country.

        Raises 429 when the caller has looked up too many within the hour or the day.
        """
        security_events.attempt("people_lookup")
        caller.require(role="clerk", scope=SCOPE)
        cause = await self.admitted(caller, len(asked))
        found = await self._found(asked)
        people = {person for each in found for person in each}
        if not self._is_own(caller):
            await self._looks.shown(caller, sorted(people), "lookup", "")
        self.record(cause, len(asked), len(people))
        return found

    def record(self, cause: str, asked: int, found: int) -> None:
        """Write the event of what was admitted."""
        security_events.record("people_lookup", cause=cause, asked=asked, found=found)

    async def admitted(self, caller: Caller, count: int) -> str:
        """Count document numbers that the caller learns something about: the cause of the event. Raises 429."""
        security_events.attempt("people_lookup")
        return MANY if await self._throttle.admit_lookups(caller, count) else USUAL

    def _is_own(self, caller: Caller) -> bool:
        return caller.kind == "client" and caller.subject in self._own_clients

    async def _found(self, asked: Sequence[LookupKey]) -> list[list[str]]:
        indexes = [self._keys.number_index(lasting(one.document_type, one.number)) for one in asked]
        by_index: dict[str, list[Practitioner]] = {}
        for person in await self._store.people_with_number(indexes):
            for index in person.number_indexes:
                by_index.setdefault(index, []).append(person)
        return [
            [person.id for person in by_index.get(index, ()) if one.fits(person, index)]
            for index, one in zip(indexes, asked, strict=True)
        ]
