"""Versioned documents: a version is one document, written whole."""

from collections.abc import Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import bson
import pymongo
from bson.raw_bson import RawBSONDocument
from pymongo import IndexModel, InsertOne, ReplaceOne
from pymongo.errors import BulkWriteError, OperationFailure

from kit.core.documents import Cursor, Document
from kit.core.errors import AppError
from kit.mongo.database import Conflict, Database, Fields, translate_errors
from kit.observability import metrics, tracing

NEWEST = (("created_at", -1), ("_id", -1))
OLDEST = (("created_at", 1), ("_id", 1))
D = TypeVar("D", bound=Document)
Write: TypeAlias = "InsertOne[Any] | ReplaceOne[Any]"

MAX_DOCUMENT_BYTES = 256 * 1024
DOCUMENT_FULL = "此记录的修改次数已达上限，请联系工作人员"
DUPLICATE_KEY, INDEX_OPTIONS_CONFLICT = 11000, 85


class Collection(Generic[D]):
    """Versioned documents of one kind: inserted whole, replaced whole, never updated in place."""

    def __init__(
        self,
        database: Database,
        name: str,
        model: type[D],
        indexes: Sequence[IndexModel] = (),
        *,
        outdated: Sequence[str] = (),
    ) -> None:
        self._collection = database[name]
        self._model = model
        self._missing = list(indexes)
        self._outdated = outdated

    async def prepare(self) -> None:
        """Create the indexes once, and drop those of the names in `outdated`; a readiness check.

        A changed expiry (`expireAfterSeconds`) is applied to the existing index.
        """
        if self._missing:
            with translate_errors():
                for index in self._missing:
                    await self._create(index)
                for name in set(self._outdated) & (await self._collection.index_information()).keys():
                    await self._collection.drop_index(name)
            self._missing = []

    async def _create(self, index: IndexModel) -> None:
        try:
            with pymongo.timeout(0):  # the server finishes a build that takes longer than the connection's time limit
                await self._collection.create_indexes([index])
        except OperationFailure as error:
            seconds = index.document.get("expireAfterSeconds")
            if error.code != INDEX_OPTIONS_CONFLICT or seconds is None:
                raise
            changed = {"name": index.document["name"], "expireAfterSeconds": seconds}
            await self._collection.database.command("collMod", self._collection.name, index=changed)

    async def get(self, document_id: str) -> D | None:
        """The current version with its history, or None."""
        return await self.find_one({"_id": document_id})

    async def find_one(self, query: Fields, *, sort: Sequence[tuple[str, int]] | None = None) -> D | None:
        """The first match with its history, or None."""
        with translate_errors():
            found = await self._collection.find_one(query, sort=sort)
        return None if found is None else self._model.model_validate(found)

    async def find(self, query: Fields, *, sort: Sequence[tuple[str, int]], limit: int) -> list[D]:
        """The matches without their histories."""
        with translate_errors():
            cursor = self._collection.find(query, {"history": False}, sort=list(sort), limit=limit, batch_size=limit)
            found = await cursor.to_list(limit)
        return [self._model.model_validate(document) for document in found]

    async def find_with_history(self, query: Fields) -> list[D]:
        """All matches with their histories, for a query with a bounded result."""
        with translate_errors():
            found = await self._collection.find(query).to_list(None)
        return [self._model.model_validate(document) for document in found]

    async def newest(self, query: Fields, after: Cursor | None, limit: int) -> tuple[list[D], Cursor | None]:
        """A page of the matches without histories, newest first, after `after`; and the cursor of the next page."""
        return await self._page(query, after, limit, NEWEST, "$lt")

    async def oldest(self, query: Fields, after: Cursor | None, limit: int) -> tuple[list[D], Cursor | None]:
        """The same, oldest first."""
        return await self._page(query, after, limit, OLDEST, "$gt")

    async def _page(
        self, query: Fields, after: Cursor | None, limit: int, sort: Sequence[tuple[str, int]], follows: str
    ) -> tuple[list[D], Cursor | None]:
        if after:
            created_at, identity = after
            same_time = {"created_at": created_at, "_id": {follows: identity}}
            query = {**query, "$or": [{"created_at": {follows: created_at}}, same_time]}
        found = await self.find(query, sort=sort, limit=limit + 1)
        page = found[:limit]
        return page, (page[-1].created_at, page[-1].id) if len(found) > limit else None

    async def insert(self, document: D) -> None:
        """Write version 1. Raises `Duplicate`."""
        with tracing.span(f"insert {self._collection.name}"), translate_errors():
            await self._collection.insert_one(_stored(document))

    async def insert_all(self, documents: Sequence[D]) -> None:
        """Write version 1 of each; their ids must be new."""
        if documents:
            with translate_errors():
                await self._collection.insert_many([_stored(document) for document in documents], ordered=False)

    async def replace(self, document: D) -> None:
        """Write the next version in place of the one it was made from. Raises `Conflict` when that isn't current."""
        guard = {"_id": document.id, "version": document.version - 1}
        with tracing.span(f"replace {self._collection.name}"), translate_errors():
            result = await self._collection.replace_one(guard, _stored(document))
        if result.matched_count == 0:
            metrics.write_conflicts.labels(self._collection.name).inc()
            raise Conflict

    async def write_many(self, documents: Sequence[D]) -> set[str]:
        """Insert first versions and replace later ones, in one call. Returns the ids of documents that are too large.

        Raises `Conflict` when one was not written: the caller reads all again and recognises those that were.
        """
        calls, full = list[Write](), set[str]()
        for document in documents:
            encoded = _encoded(document)
            if _full(document, encoded):
                full.add(document.id)
            elif document.version == 1:
                calls.append(InsertOne(encoded))
            else:
                calls.append(ReplaceOne({"_id": document.id, "version": document.version - 1}, encoded))
        if calls:
            await self._write_many(calls)
        return full

    async def _write_many(self, calls: Sequence[Write]) -> None:
        try:
            with translate_errors():
                result = await self._collection.bulk_write(list(calls), ordered=False)
        except BulkWriteError as error:
            if any(each["code"] != DUPLICATE_KEY for each in error.details["writeErrors"]):
                raise
            raise Conflict from error
        if result.inserted_count + result.matched_count < len(calls):
            raise Conflict


def _encoded(document: Document) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(document.model_dump(by_alias=True)))


def _full(document: Document, encoded: RawBSONDocument) -> bool:
    return len(encoded.raw) > MAX_DOCUMENT_BYTES and document.action != "deleted"  # deleting is always possible


def _stored(document: Document) -> RawBSONDocument:
    encoded = _encoded(document)
    if _full(document, encoded):
        raise AppError(409, "document_full", DOCUMENT_FULL)
    return encoded
