"""Look-ups of people by identity document, for windows and API clients. Each one is rate-limited and audited."""

from collections.abc import Sequence
from dataclasses import dataclass

from kit.core.errors import AppError, NotFound
from kit.privacy.access_audit import AccessAudit
from kit.privacy.action_audit import ActionAudit
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
    """An identity document whose owner is looked up; a passport's number is unique only within the country of issue."""

    document_type: DocumentType
    number: str
    country: str | None = None

    def matches(self, person: Practitioner, number_index: str) -> bool:
        """Whether a person with this number has or had it on an identity document of this type and country."""
        if self.document_type == "passport" and self.country is None:
            return any(key.startswith("passport:") and key.endswith(f":{number_index}") for key in person.keys)
        known = document_key(self.document_type, self.country, number_index) in person.keys
        return known and (self.document_type == "passport" or self.country in (None, person.nationality))


class Lookups:
    """Finds people by their identity documents, and records it in their access log, except for own services."""

    def __init__(
        self, store: Store, keys: Keys, audit: AccessAudit, actions: ActionAudit, throttle: Throttle,
        own_clients: Sequence[str],
    ) -> None:  # fmt: skip
        self._store = store
        self._keys = keys
        self._audit, self._actions = audit, actions
        self._throttle = throttle
        self._own_clients = own_clients
        security_events.initialise(USUAL, MANY, event="people_lookup", outcome="done")
        security_events.initialise("limit_lookups", event="people_lookup", outcome="throttled")

    async def one(self, caller: Caller, key: LookupKey) -> str:
        """The id of the person with this document. Raises `NotFound`, 409 `document_ambiguous`, 429."""
        [people] = await self.many(caller, [key])
        if len(people) > 1:
            raise AppError(409, "document_ambiguous", "有多本护照使用该号码，请同时提供签发国")
        if not people:
            raise NotFound
        return people[0]

    async def many(self, caller: Caller, keys: Sequence[LookupKey]) -> list[list[str]]:
        """For each document, the ids of the people who have it: none, one, or several for a passport without country.

        Raises 403, 429.
        """
        security_events.attempt("people_lookup")
        caller.require(role="clerk", scope=SCOPE)
        cause = await self.admit(caller, len(keys))
        found = await self._find(keys)
        people = {person for each in found for person in each}
        if not self._is_own(caller):
            await self._audit.record_shown(caller, sorted(people), "lookup", "")
            await self._record_unknown(caller, len(keys), len(people))
        self.record(cause, len(keys), len(people))
        return found

    async def _record_unknown(self, caller: Caller, asked: int, found: int) -> None:
        """An entry of the audit trail for the documents that nobody has; people who were found have their own."""
        if found < asked:
            facts = {"asked": str(asked), "found": str(found)}
            await self._actions.record("lookup", "not_found", caller.label, caller.subject, **facts)

    def record(self, cause: str, asked: int, found: int) -> None:
        """Record the security event of an admitted look-up; `cause` is what `admit` returned."""
        security_events.record("people_lookup", cause=cause, asked=asked, found=found)

    async def admit(self, caller: Caller, count: int) -> str:
        """Count looked-up document numbers against the caller's limit. Returns the event's cause. Raises 429."""
        security_events.attempt("people_lookup")
        return MANY if await self._throttle.admit_lookups(caller, count) else USUAL

    def _is_own(self, caller: Caller) -> bool:
        return caller.kind == "client" and caller.subject in self._own_clients

    async def _find(self, keys: Sequence[LookupKey]) -> list[list[str]]:
        indexes = [self._keys.number_index(lasting(key.document_type, key.number)) for key in keys]
        by_index: dict[str, list[Practitioner]] = {}
        for person in await self._store.people_with_number(indexes):
            for index in person.number_indexes:
                by_index.setdefault(index, []).append(person)
        return [
            [person.id for person in by_index.get(index, ()) if key.matches(person, index)]
            for index, key in zip(indexes, keys, strict=True)
        ]
