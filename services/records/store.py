"""records' collections: `records` and `disputes`, with their histories; `known_practitioners`, birth years."""

from collections.abc import Sequence

from async_lru import alru_cache

from kit.core.documents import field_of
from kit.mongo import NEWEST, OLDEST, Collection, Cursor, Database, Index, Projection
from kit.privacy.access_audit import ACCESS_LOG
from kit.privacy.personal_data import PersonalData
from services.records.disputes.domain import Dispute
from services.records.domain import Record

COLLECTION = "records"
COMPACTED = (COLLECTION,)
DISPUTES = "disputes"
KNOWN_PRACTITIONERS = "known_practitioners"
PERSONAL_DATA = (
    PersonalData(DISPUTES, indexed=True),
    PersonalData(COLLECTION, indexed=True),
    PersonalData(KNOWN_PRACTITIONERS, person="_id", indexed=True),
    PersonalData(ACCESS_LOG),
)
OPEN = {"state": "open"}
BIRTH_YEAR_SECONDS = 300


class Records:
    """Queries over records and their owners' birth years; only `any_state` and `by_id` return deleted records."""

    def __init__(self, database: Database) -> None:
        by_person = Index([("practitioner_id", 1), *NEWEST])
        deleted = Index([("updated_at", 1)], partialFilterExpression={"state": "deleted"}, name="deleted")
        self._collection = Collection(database, COLLECTION, Record, [by_person, deleted])
        self.prepare = self._collection.prepare
        self.insert = self._collection.insert
        self.replace = self._collection.replace
        self.any_state = self._collection.get
        self.write_many = self._collection.write_many
        self._practitioners = Projection(database, KNOWN_PRACTITIONERS)
        # a person saves many records in a row; a corrected birth year takes effect after BIRTH_YEAR_SECONDS at most
        self._birth_year = alru_cache(maxsize=10_000, ttl=BIRTH_YEAR_SECONDS)(self._read_birth_year)

    async def get(self, record_id: str) -> Record | None:
        """The record with its history, unless it is deleted."""
        return await self._collection.find_one({"_id": record_id, "state": "active"})

    async def by_id(self, record_ids: Sequence[str]) -> dict[str, Record]:
        """The records that exist, in any state, with their histories."""
        found = await self._collection.find_with_history({"_id": {"$in": list(record_ids)}})
        return {record.id: record for record in found}

    async def of_person(
        self, practitioner_id: str, kind: str | None, after: Cursor | None, limit: int
    ) -> tuple[list[Record], Cursor | None]:
        """A page of a person's records without their histories, newest first, and the cursor of the next page."""
        filters = {"kind": kind} if kind else {}
        query = {"practitioner_id": practitioner_id, "state": "active", **filters}
        return await self._collection.newest(query, after, limit)

    async def note_practitioner(self, practitioner_id: str, version: int, birth_year: int) -> None:
        """Store a person's birth year from identity's event, unless a newer version is stored."""
        await self._practitioners.put(practitioner_id, version, {"birth_year": birth_year})

    async def birth_year(self, practitioner_id: str) -> int | None:
        """The year of a person's birth; None until identity's event was consumed."""
        year = await self._birth_year(practitioner_id)
        if year is None:
            self._birth_year.cache_invalidate(practitioner_id)
        return year

    async def _read_birth_year(self, practitioner_id: str) -> int | None:
        known = await self._practitioners.get(practitioner_id)
        return field_of(known, "birth_year", int) if known else None


class Disputes:
    """Queries over disputes. Of two open ones for a record the second is a `Duplicate`."""

    def __init__(self, database: Database) -> None:
        by_person = Index([("practitioner_id", 1), *NEWEST])
        one_open = Index([("record_id", 1)], unique=True, partialFilterExpression=OPEN, name="one_open")
        waiting = Index([*OLDEST], partialFilterExpression=OPEN, name="waiting")
        self._collection = Collection(database, DISPUTES, Dispute, [by_person, one_open, waiting])
        self.prepare = self._collection.prepare
        self.get = self._collection.get
        self.insert = self._collection.insert
        self.replace = self._collection.replace

    async def of_person(
        self, practitioner_id: str, after: Cursor | None, limit: int
    ) -> tuple[list[Dispute], Cursor | None]:
        """A page of a person's disputes, newest first, and the cursor of the next page."""
        return await self._collection.newest({"practitioner_id": practitioner_id}, after, limit)

    async def open_of_person(self, practitioner_id: str, most: int) -> int:
        """The number of a person's open disputes, counted to `most`."""
        found = await self._collection.find({"practitioner_id": practitioner_id, **OPEN}, sort=NEWEST, limit=most)
        return len(found)

    async def waiting(self, after: Cursor | None, limit: int) -> tuple[list[Dispute], Cursor | None]:
        """A page of the open disputes of all people, oldest first, and the cursor of the next page."""
        return await self._collection.oldest(OPEN, after, limit)
