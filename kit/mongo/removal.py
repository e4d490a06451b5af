"""Removes documents permanently: from the database, and by a tombstone from their topic.

A tombstone is first stored as a document; it is published like any other, and again if the position was lost.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kit.core.clock import Clock
from kit.core.documents import PERSON, field_of
from kit.mongo import Database, Fields, Index, translate_errors
from kit.observability import log
from kit.runtime.periodic import every
from kit.settings import RetentionSettings

TOMBSTONES = "tombstones"
logger = log.get(__name__)


@dataclass(frozen=True)
class RemovalPolicy:
    """`batch`: documents found at a time; `forget`: tombstones, far longer than a publisher may be down."""

    batch: int = 500
    forget: timedelta = timedelta(days=90)
    purge_pause_seconds: float = 3_600.0


class Removal:
    """Removes documents of a database; removals from the collections `compacted` are published on a compacted topic."""

    def __init__(
        self, database: Database, clock: Clock, compacted: Collection[str], policy: RemovalPolicy = RemovalPolicy()
    ) -> None:
        self.policy = policy
        self._database = database
        self._clock = clock
        self._compacted = compacted
        self._tombstones = database[TOMBSTONES]

    async def prepare(self) -> None:
        """Create the indexes of the tombstones."""
        expiry = Index([("updated_at", 1)], expireAfterSeconds=int(self.policy.forget.total_seconds()))
        with translate_errors():
            await self._tombstones.create_indexes([expiry, Index([(PERSON, 1)])])

    async def find(self, collection: str, query: Fields) -> list[dict[str, object]]:
        """A batch of the matches, with their histories; empty when there are no more."""
        with translate_errors():
            return await self._database[collection].find(query, limit=self.policy.batch).to_list(self.policy.batch)

    async def remove(self, collection: str, document: Fields) -> None:
        """Remove a document. The tombstone is written first: after a crash in between both are repeated."""
        if collection in self._compacted:
            await self._write_tombstone(document)
        with translate_errors():
            await self._database[collection].delete_one({"_id": document["_id"]})

    async def republish(self, person: str) -> None:
        """Publish a person's tombstones again, after events that were published concurrently with the first ones."""
        with translate_errors():
            for stone in await self._tombstones.find({PERSON: person}).to_list(None):
                await self._write_tombstone(stone)

    async def _write_tombstone(self, last: Fields) -> None:
        """`last`: the removed document, or its tombstone."""
        stone = {
            "_id": last["_id"],
            PERSON: last.get(PERSON, last["_id"]),  # a person's own document has only the id
            "version": field_of(last, "version", int) + 1,
            "updated_at": self._clock.now(),
        }
        with translate_errors():
            await self._tombstones.replace_one({"_id": stone["_id"]}, stone, upsert=True)


@dataclass(frozen=True)
class RetentionRule:
    """Documents of a collection that have been in `state` for longer than `age`; `which` narrows the query."""

    collection: str
    state: str
    age: timedelta
    which: Fields = field(default_factory=dict)

    def query(self, now: datetime) -> Fields:
        """The query for the documents that are due."""
        return {"state": self.state, "updated_at": {"$lt": now - self.age}, **self.which}


def retention_rules(retention: RetentionSettings, collection: str, state: str) -> list[RetentionRule]:
    """The rules of the settings; none where they are null."""
    others: Fields = {"kind": {"$nin": list(retention.by_kind)}} if retention.by_kind else {}
    ages = [(retention.deleted_days, others), *((days, {"kind": kind}) for kind, days in retention.by_kind.items())]
    return [RetentionRule(collection, state, timedelta(days=days), which) for days, which in ages if days]


class Purge:
    """Removes documents whose retention time is over."""

    def __init__(self, removal: Removal, rules: Sequence[RetentionRule], clock: Clock) -> None:
        self._removal = removal
        self._rules = rules
        self._clock = clock

    async def run(self) -> None:
        """Purge until cancelled, once an hour by default."""
        await every(self._removal.policy.purge_pause_seconds, self.purge, "purge")

    async def purge(self) -> None:
        """Purge what is due now."""
        for each in self._rules:
            removed = 0
            while found := await self._removal.find(each.collection, each.query(self._clock.now())):
                for document in found:
                    await self._removal.remove(each.collection, document)
                removed += len(found)
            if removed:
                logger.info("purged", collection=each.collection, state=each.state, documents=removed)
