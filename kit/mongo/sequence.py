"""An append-only collection: its documents are numbered without gaps, and one writer at a time can append."""

from collections.abc import AsyncIterator, Sequence

from pymongo.errors import BulkWriteError

from kit.core.documents import field_of
from kit.mongo.database import Database, Duplicate, Fields, Index, translate_errors

BATCH = 2_000
DUPLICATE_KEY = 11000


class NumberedCollection:
    """Documents whose `_id` is their number. Appended in order: of two concurrent writers one gets `Duplicate`."""

    def __init__(self, database: Database, name: str, indexes: Sequence[Index] = ()) -> None:
        self._collection = database[name]
        self._missing = list(indexes)

    async def prepare(self) -> None:
        """Create the indexes once; a readiness check."""
        if self._missing:
            with translate_errors():
                await self._collection.create_indexes(self._missing)
            self._missing = []

    async def append(self, documents: Sequence[Fields]) -> None:
        """Insert in order, up to the first that meets a number or another unique key that exists: `Duplicate`.

        The documents before it are stored then.
        """
        try:
            with translate_errors():
                await self._collection.insert_many([dict(each) for each in documents], ordered=True)
        except BulkWriteError as error:
            if any(each["code"] != DUPLICATE_KEY for each in error.details["writeErrors"]):
                raise
            raise Duplicate from error

    async def last(self) -> dict[str, object] | None:
        """The document with the highest number."""
        with translate_errors():
            return await self._collection.find_one({"_id": {"$type": "number"}}, sort=[("_id", -1)])

    async def first_number(self, query: Fields, field: str) -> int | None:
        """The number of the match with the lowest value of an indexed field."""
        with translate_errors():
            found = await self._collection.find_one(query, {"_id": True}, sort=[(field, 1)])
        return field_of(found, "_id", int) if found else None

    async def known(self, field: str, values: Sequence[object]) -> set[object]:
        """Those of the values that a document has in this field."""
        with translate_errors():
            found = await self._collection.find({field: {"$in": list(values)}}, {field: True}).to_list(None)
        return {each[field] for each in found}

    async def read(self, query: Fields) -> AsyncIterator[list[dict[str, object]]]:
        """The matches in order of their numbers, in batches; also documents whose `_id` is no number."""
        cursor = self._collection.find(query, sort=[("_id", 1)], batch_size=BATCH)
        with translate_errors():
            while batch := await cursor.to_list(BATCH):
                yield batch
