"""Migrations: numbered changes of stored documents, each made once, in batches, while everything runs.

The state of each is a document of the collection `migrations`. The position is stored after every batch, so a run that
was killed continues there. Every write is conditioned on the version that was read: a concurrent writer always wins,
and its document is read again.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import ReplaceOne, ReturnDocument, UpdateOne

from kit.mongo.database import Database, Fields, translate_errors
from kit.mongo.lease import lease
from kit.observability import log, metrics
from kit.runtime.periodic import every

STATES = "migrations"
LEASE = "lease"
REPORT_SECONDS = 15.0
logger = log.get(__name__)


@dataclass(frozen=True)
class Migration:
    """A change of the documents of a collection that match `query`; after `change` they no longer do.

    `change` returns the changed document. If that has the same version, only the fields that differ are written, and
    nothing is published. If it has the next version (`Document.next_version`), it is replaced, and published.
    """

    number: int
    name: str
    collection: str
    query: Fields
    change: Callable[[Fields], Fields]


@dataclass(frozen=True)
class MigrationPolicy:
    """`batch`: documents at a time. `share`: of the time that it works; for the rest it pauses, after each batch.

    `tries`: how often a batch is read again because of concurrent writers.
    """

    batch: int = 500
    share: float = 0.5
    tries: int = 50
    lease_seconds: float = 15.0
    log_seconds: float = 5.0


@dataclass(frozen=True)
class Pending:
    """What a migration would change: how many documents, and the fields of the first of them."""

    migration: Migration
    documents: int
    fields: Sequence[str]

    def __str__(self) -> str:
        """A line for the operator."""
        which = f"; of the first one: {', '.join(self.fields)}" if self.fields else ""
        kind = self.migration
        return f"{kind.number} {kind.name}: {self.documents} documents of {kind.collection} would change{which}"


class NotMigrated(Exception):
    """Documents match the query of a migration although they were changed, again and again."""


class Migrations:
    """Runs the migrations of a service's database, in the order of their numbers. One process at a time."""

    def __init__(
        self, database: Database, migrations: Sequence[Migration], policy: MigrationPolicy = MigrationPolicy()
    ) -> None:
        self._database, self._policy = database, policy
        self._migrations = sorted(migrations, key=lambda migration: migration.number)
        self._states = database[STATES]
        self._logged = 0.0

    async def run(self) -> None:
        """Make every change that was not finished yet; waits for another process that does so."""
        async with lease(self._database, STATES, LEASE, self._policy.lease_seconds):
            for migration in self._migrations:
                state = await self._begin(migration)
                if "finished_at" not in state:
                    await self._migrate(migration, state)

    async def pending(self) -> list[Pending]:
        """What `run` would change now. Writes nothing."""
        return [
            await self._preview(migration, state)
            for migration in self._migrations
            if "finished_at" not in (state := await self._state(migration))
        ]

    async def _preview(self, migration: Migration, state: Fields) -> Pending:
        collection, query = self._database[migration.collection], _after(migration.query, state.get("position"))
        with translate_errors():
            documents = await collection.count_documents(query)
            first = await collection.find_one(query, sort=[("_id", 1)])
        return Pending(migration, documents, sorted(_changed(first, migration.change(first))) if first else [])

    async def _state(self, migration: Migration) -> Fields:
        with translate_errors():
            return await self._states.find_one({"_id": migration.number}) or {}

    async def _begin(self, migration: Migration) -> Fields:
        with translate_errors():
            documents = await self._database[migration.collection].estimated_document_count()
            begun = {"name": migration.name, "documents": documents, "checked": 0, "changed": 0}
            return await self._states.find_one_and_update(
                {"_id": migration.number}, {"$setOnInsert": begun}, upsert=True, return_document=ReturnDocument.AFTER
            )

    async def _migrate(self, migration: Migration, state: Fields) -> None:
        position, clock = state.get("position"), asyncio.get_running_loop().time
        while ids := await self._next_ids(migration, position):
            began = clock()
            changed = await self._batch(migration, position, ids[-1])
            position = ids[-1]
            await self._advance(migration, position, len(ids), changed)
            await asyncio.sleep((clock() - began) * (1 / self._policy.share - 1))
        with translate_errors():
            await self._states.update_one({"_id": migration.number}, {"$currentDate": {"finished_at": True}})
        await self._log("migration finished", migration)

    async def _next_ids(self, migration: Migration, position: object) -> list[object]:
        """The ids of the next batch, of documents that match and that don't: a step costs the same everywhere."""
        with translate_errors():
            cursor = self._database[migration.collection].find(
                _after({}, position), {"_id": True}, sort=[("_id", 1)], limit=self._policy.batch
            )
            return [each["_id"] async for each in cursor]

    async def _batch(self, migration: Migration, position: object, end: object) -> int:
        """Change the documents up to `end`, until none matches any more. Returns how many were changed."""
        query = {"$and": [_after(migration.query, position), {"_id": {"$lte": end}}]}
        collection, changed = self._database[migration.collection], 0
        for _ in range(self._policy.tries):
            with translate_errors():
                documents = await collection.find(query).to_list(None)
                if not documents:
                    return changed
                writes = [_write(document, migration.change(document)) for document in documents]
                changed += (await collection.bulk_write(writes, ordered=False)).matched_count
        raise NotMigrated(f"migration {migration.number}: {documents[0]['_id']} still matches its query")

    async def _advance(self, migration: Migration, position: object, checked: int, changed: int) -> None:
        moved = {"$max": {"position": position}, "$inc": {"checked": checked, "changed": changed}}
        with translate_errors():
            await self._states.update_one({"_id": migration.number}, moved)
        if asyncio.get_running_loop().time() - self._logged > self._policy.log_seconds:
            await self._log("migrating", migration)

    async def _log(self, event: str, migration: Migration) -> None:
        self._logged = asyncio.get_running_loop().time()
        state = await self._state(migration)
        counts = {name: state[name] for name in ("checked", "documents", "changed")}
        logger.info(event, migration=migration.number, name=migration.name, **counts)


def _after(query: Fields, position: object) -> Fields:
    """The query for what follows the position. `$and`, because the query may have conditions on `_id` of its own."""
    return query if position is None else {"$and": [query, {"_id": {"$gt": position}}]}


def _changed(before: Fields, after: Fields) -> list[str]:
    return [name for name in {**before, **after} if before.get(name) != after.get(name) or name not in after]


def _write(before: Fields, after: Fields) -> ReplaceOne[Any] | UpdateOne:
    """The write that makes the change, if the version is still the one that was read."""
    guard = {"_id": before["_id"], "version": before["version"]}
    if after["version"] != before["version"]:
        return ReplaceOne(guard, after)
    changed = _changed(before, after)
    kept = {name: after[name] for name in changed if name in after}
    removed = {name: "" for name in changed if name not in after}
    return UpdateOne(guard, {"$set": kept, "$unset": removed})


async def report(database: Database, service: str) -> None:
    """Show the progress of migrations as a metric, until cancelled: a worker's task."""

    async def update() -> None:
        with translate_errors():
            async for state in database[STATES].find({"_id": {"$ne": LEASE}}):
                share = 1.0 if "finished_at" in state else _share(state)
                metrics.migration_progress.labels(service, str(state["_id"])).set(share)

    await every(REPORT_SECONDS, update, "progress of migrations")


def _share(state: Fields) -> float:
    checked, documents = (float(str(state[name])) for name in ("checked", "documents"))
    return min(0.99, checked / documents) if documents else 0.0
