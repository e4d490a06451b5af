"""The collection `records`: one document a record, its versions in its own history."""

from collections.abc import Sequence

from async_lru import alru_cache

from kit.core.documents import field_of
from kit.mongo import NEWEST, Collection, Cursor, Database, Index, Projection
from kit.privacy.access_audit import ACCESS_LOG
from kit.privacy.personal_data import PersonalData
from services.records.domain import Record

COLLECTION = "records"
COMPACTED = (COLLECTION,)
KNOWN_PRACTITIONERS = "known_practitioners"
PERSONAL_DATA = (
    PersonalData(COLLECTION, indexed=True),
    PersonalData(KNOWN_PRACTITIONERS, person="_id", indexed=True),
    PersonalData(ACCESS_LOG),
)
BIRTH_YEAR_SECONDS = 300


class Records:
    """Queries over records; a deleted record is only found by `any_state`. And what is known of their owners."""

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
        # a person saves many records in a row: of one who is corrected meanwhile the year of before counts so long
        self._birth_year = alru_cache(maxsize=10_000, ttl=BIRTH_YEAR_SECONDS)(self._read_birth_year)

    async def get(self, record_id: str) -> Record | None:
        """The record with its history, unless it is deleted."""
        return await self._collection.find_one({"_id": record_id, "state": "active"})

    async def by_id(self, record_ids: Sequence[str]) -> dict[str, Record]:
        """Those that there are, in whichever state, with their histories."""
        found = await self._collection.whole({"_id": {"$in": list(record_ids)}})
        return {record.id: record for record in found}

    async def of_person(
        self, practitioner_id: str, kind: str | None, after: Cursor | None, limit: int
    ) -> tuple[list[Record], Cursor | None]:
        """A page of a person's records, newest first, and where the next one begins; without their histories."""
        of_kind = {"kind": kind} if kind else {}
        query = {"practitioner_id": practitioner_id, "state": "active", **of_kind}
        return await self._collection.newest(query, after, limit)

    async def note_practitioner(self, practitioner_id: str, version: int, birth_year: int) -> None:
        """Keep what identity told of a person, unless something newer is known."""
        await self._practitioners.put(practitioner_id, version, {"birth_year": birth_year})

    async def birth_year(self, practitioner_id: str) -> int | None:
        """The year of a person's birth; None until identity's event has come."""
        year = await self._birth_year(practitioner_id)
        if year is None:
            self._birth_year.cache_invalidate(practitioner_id)
        return year

    async def _read_birth_year(self, practitioner_id: str) -> int | None:
        known = await self._practitioners.get(practitioner_id)
        return field_of(known, "birth_year", int) if known else None
