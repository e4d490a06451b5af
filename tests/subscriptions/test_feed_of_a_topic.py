"""The feed on a topic of its own: which events it has, which it omits, and its behaviour when the topic changes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from kit.core.events import Headers, partition_of
from kit.kafka.connections import options
from kit.security.tokens import Caller
from services.subscriptions.feed.recent_events import RecentEvents
from services.subscriptions.feed.service import CursorExpired, Feed, FeedQuery
from services.subscriptions.feed_events import FORGOTTEN
from services.subscriptions.readers import KafkaReaders
from tests.support.names import own_id, own_name
from tests.support.stack import RunningStack
from tests.support.topics import own_topics
from tests.support.waiting import eventually

PARTITIONS = 3
CALLER = Caller("client", "client", scopes=frozenset({"changes:read"}))


def headers(person: str, subject: str, version: int) -> Headers:
    return [
        ("ce_specversion", b"1.0"), ("ce_type", b"records.record.changed.v1"), ("ce_source", b"/records"),
        ("ce_id", f"{subject}:{version}".encode()), ("ce_time", b"2026-01-01T00:00:00.000Z"),
        ("ce_subject", subject.encode()), ("ce_sequence", str(version).encode()),
        ("ce_partitionkey", person.encode()), ("content-type", b"application/json"),
    ]  # fmt: skip


@dataclass
class Topic:
    """A topic, writes to it, and its feed."""

    name: str
    producer: AIOKafkaProducer
    feed: Feed

    async def write(self, person: str, version: int, value: bytes | None = b'{"kind": "degree"}', **more: Any) -> None:
        subject = more.get("subject", "thing")
        stated = more.get("headers", headers(person, subject, version))
        partition = partition_of(person, PARTITIONS)
        await self.producer.send_and_wait(self.name, value, subject.encode(), partition, headers=stated)

    async def ask(self, after: str | None = None, limit: int = 500, wait: float = 0) -> tuple[list[Any], str]:
        found, cursor = await self.feed.changes(CALLER, FeedQuery(after, None, limit, wait))
        return [json.loads(change.body) for change in found], cursor

    async def everything(self, after: str | None = None, limit: int = 500) -> list[Any]:
        """All pages of the current events."""
        found: list[Any] = []
        while True:
            page, after = await self.ask(after, limit)
            if not page:
                return found
            found += page


@asynccontextmanager
async def followed(stack: RunningStack, name: str, memory: int) -> AsyncIterator[Feed]:
    settings = stack.kafka_settings(PARTITIONS)
    recent, readers = RecentEvents(settings, name, memory), KafkaReaders(settings, name, 2)
    task = asyncio.create_task(recent.run())

    async def live() -> bool:
        return recent.live

    try:
        await eventually(live, 15, "the topic is followed")
        yield Feed(recent, readers, PARTITIONS, 10)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await readers.close()


@pytest_asyncio.fixture
async def topic(stack: RunningStack) -> AsyncIterator[Topic]:
    name = own_name("feed")
    producer = AIOKafkaProducer(**options(stack.kafka))
    async with own_topics(stack.kafka, **{name: PARTITIONS}), followed(stack, name, 20_000) as feed:
        await producer.start()
        try:
            yield Topic(name, producer, feed)
        finally:
            await producer.stop()


async def test_events_no_longer_in_memory_are_read_from_kafka(topic: Topic) -> None:
    people = [own_id() for _ in range(7)]
    for number in range(300):  # more than this feed keeps in memory
        await topic.write(people[number % 7], number)
    seen = await topic.everything(limit=40)
    assert len(seen) == 300
    for place, person in enumerate(people):
        mine = [int(event["sequence"]) for event in seen if event["partitionkey"] == person]
        assert mine == list(range(place, 300, 7))


async def test_a_tombstone_names_the_removed_document_and_whom_it_was_about(topic: Topic) -> None:
    await topic.write("p", 1, subject="one")
    await topic.write("p", 2, None, subject="one")
    await topic.write("p", 0, None, subject="one", headers=[])
    _, forgotten, old = await eventually(lambda: three(topic), 10, "all three are in the feed")
    for event in (forgotten, old):
        assert (event["type"], event["subject"], event["data"]) == (FORGOTTEN, "one", None)
    assert (forgotten["partitionkey"], forgotten["sequence"]) == ("p", "2")
    assert {"partitionkey", "sequence"}.isdisjoint(old), "earlier versions wrote tombstones without headers"


async def three(topic: Topic) -> list[Any]:
    page, _ = await topic.ask()
    return page if len(page) == 3 else []


@pytest.mark.parametrize("value", [b"", b"\xff", b"{", b"[1]", b"null", b'{"a": NaN}'])
async def test_an_invalid_event_is_skipped(topic: Topic, value: bytes) -> None:
    await topic.write("p", 1, value)
    await topic.write("p", 2, headers=[("ce_id", b"x")])
    await topic.write("p", 3)

    found = await eventually(topic.everything, 10, "the good one is in the feed")
    assert [event["sequence"] for event in found] == ["3"]


async def test_old_cursors_of_a_recreated_topic_are_gone(stack: RunningStack) -> None:
    name = own_name("feed")
    producer = AIOKafkaProducer(**options(stack.kafka))
    await producer.start()
    try:
        async with own_topics(stack.kafka, **{name: PARTITIONS}), followed(stack, name, 20_000) as feed:
            first = Topic(name, producer, feed)
            for version in range(20):
                await first.write("p", version)
            page, cursor = await first.ask(wait=10)
            assert page
            while page:
                page, cursor = await first.ask(cursor)
        async with own_topics(stack.kafka, **{name: PARTITIONS}), followed(stack, name, 20_000) as feed:
            second = Topic(name, producer, feed)
            await second.write("p", 1)
            with pytest.raises(CursorExpired):
                await second.ask(cursor)
    finally:
        await producer.stop()
