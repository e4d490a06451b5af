"""Collects what a run left in the database and in the topic, for the checker."""

from collections.abc import Collection
from typing import Any

from kit import mongo
from tests.support.checker import Evidence, Seen
from tests.support.load import Log
from tests.support.stack import RunningStack
from tests.support.subscriber import Records, Subscriber, headers_of, version_of
from tests.support.waiting import eventually


def seen_in(records: Records, persons: Collection[str]) -> list[Seen]:
    """The events about these people."""
    return [
        Seen(record.partition, record.offset, *version_of(record), record.key.decode())
        for record in records
        if headers_of(record).get("ce_partitionkey") in persons
    ]


async def versions(database: mongo.Database, collection: str, persons: Collection[str]) -> dict[str, int]:
    """The current version of each of these people's documents."""
    found: list[dict[str, Any]] = (
        await database[collection].find({"practitioner_id": {"$in": list(persons)}}, {"version": 1}).to_list(None)
    )
    return {str(document["_id"]): int(document["version"]) for document in found}


async def of_records(
    stack: RunningStack, subscriber: Subscriber, log: Log, persons: Collection[str], within: float
) -> Evidence:
    """The evidence of a run against records, once the topic has all last versions or `within` is over."""
    async with mongo.connect(stack.mongo, "records") as database:
        source = await versions(database, "records", persons)

    async def gathered() -> Evidence | None:
        evidence = Evidence(log.acknowledged, log.unknown, source, seen_in(await subscriber.read(), persons))
        evidence.answers = log.answers
        return evidence if set(source.items()) <= {(event.id, event.version) for event in evidence.topic} else None

    evidence = await eventually(gathered, within, "the backlog is drained", pause=0.3)
    assert evidence is not None
    return evidence
