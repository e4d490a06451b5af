"""A projection: what a consumer keeps of another service's documents."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pymongo import ReplaceOne

from kit.core.errors import Unavailable
from kit.mongo.database import Database, Duplicate, Fields, translate_errors


@dataclass(frozen=True)
class _Put:
    """A document to be stored, and the future its caller awaits."""

    document_id: str
    kept: dict[str, object]
    done: asyncio.Future[None]

    @property
    def older(self) -> Fields:
        return {"_id": self.document_id, "version": {"$lt": self.kept["version"]}}

    def finish(self, error: Exception | None) -> None:
        if self.done.done():  # its caller no longer waits
            return
        if error:
            self.done.set_exception(error)
        else:
            self.done.set_result(None)


class Projection:
    """What a consumer keeps of another service's documents. Idempotent; an older version never replaces a newer one.

    Documents that are put during a write are written together by the next one: a journaled write for each event was a
    third of MongoDB's work for a new record.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._collection = database[name]
        self._waiting: list[_Put] = []
        self._writing: asyncio.Task[None] | None = None

    async def put(self, document_id: str, version: int, fields: Fields) -> None:
        """Store `fields` unless this version or a newer one is stored already."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(_Put(document_id, {"version": version, **fields}, done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await done

    async def _write(self) -> None:
        while self._waiting:
            puts, self._waiting = self._waiting, []
            try:
                with translate_errors():
                    together = [ReplaceOne(put.older, put.kept, upsert=True) for put in puts]
                    await self._collection.bulk_write(together, ordered=False)
            except Unavailable as error:
                _finish(puts, error)
            except Exception:  # of some documents: each is written alone, so that one failure affects no other
                await asyncio.gather(*map(self._write_alone, puts))
            else:
                _finish(puts, None)

    async def _write_alone(self, put: _Put) -> None:
        try:
            await self._replace(put)
        except Exception as error:
            put.finish(error)
        else:
            put.finish(None)

    async def _replace(self, put: _Put) -> None:
        try:
            with translate_errors():
                await self._collection.replace_one(put.older, put.kept, upsert=True)
        except Duplicate:  # the upsert met its _id: a newer version, or an older one that was inserted concurrently
            with translate_errors():
                await self._collection.replace_one(put.older, put.kept)

    async def get(self, document_id: str) -> Fields | None:
        """The stored fields, or None."""
        with translate_errors():
            return await self._collection.find_one({"_id": document_id})

    async def ids(self, query: Fields) -> set[str]:
        """The ids of the matches, for a query with a bounded result."""
        with translate_errors():
            return {str(found["_id"]) async for found in self._collection.find(query, {"_id": True})}


def _finish(puts: Sequence[_Put], error: Exception | None) -> None:
    for put in puts:
        put.finish(error)
