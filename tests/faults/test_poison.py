"""Poison among good events, and an unavailable dependency: only poison is dead-lettered, and no good event is lost."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from contracts.records import RecordChanged
from kit.core.errors import TooManyDeadLetters, Unavailable
from kit.core.events import Event, NewEvent, Outgoing, encode
from kit.kafka import dead_letters
from kit.kafka.connections import options
from kit.messaging.consumer import Consumer
from kit.settings import KafkaSettings
from tests.support.names import own_id, own_name
from tests.support.scale import scaled
from tests.support.stack import RunningStack
from tests.support.topics import own_topics
from tests.support.waiting import eventually

pytestmark = pytest.mark.faults

GOOD, POISON = 5_000, 200
SAMPLE: dict[str, Any] = {
    "action": "created", "changed": [], "at": "2026-11-24T02:15:30.120Z", "kind": "education", "state": "active",
    "data": {"school": "同济大学"}, "attachment": None, "source": None,
}  # fmt: skip


def good(version: int = 1) -> Outgoing:
    identity = own_id()
    data = RecordChanged.model_validate(
        {**SAMPLE, "record_id": identity, "practitioner_id": own_id(), "version": version}
    )
    return encode(NewEvent(RecordChanged, data.model_dump()), "/records", 3)


def with_header(record: Outgoing, name: str, value: bytes | None, twice: bool = False) -> Outgoing:
    kept = [each for each in record.headers if each[0] != name or twice]
    return record._replace(headers=[*kept, *([(name, value)] if value is not None else [])])


def with_data(record: Outgoing, **fields: object) -> Outgoing:
    return record._replace(value=json.dumps({**json.loads(record.value or b""), **fields}).encode())


KINDS: dict[str, Callable[[Outgoing], Outgoing]] = {
    "no JSON": lambda record: record._replace(value=b"{no json"),
    "wrong type": lambda record: with_data(record, version="three"),
    "missing field": lambda record: record._replace(value=b'{"version": 1}'),
    "1 MiB of nothing": lambda record: record._replace(value=b"x" * 2**20),
    "no key and no subject": lambda record: with_header(record, "ce_subject", None),
    "deep nesting": lambda record: record._replace(value=b"[" * 5_000 + b"]" * 5_000),
    "NaN": lambda record: record._replace(value=(record.value or b"").replace(b'"version":1', b'"version":NaN')),
    "a header twice": lambda record: with_header(record, "ce_type", b"records.record.changed.v1", twice=True),
    "a sequence that is no number": lambda record: with_header(record, "ce_sequence", b"first"),
    "invalid UTF-8": lambda record: record._replace(value=b'{"kind": "\xff\xfe"}'),
}


@dataclass
class Handled:
    """The events that a test's handler received; `broken` ids are refused, `unavailable` simulates an outage."""

    seen: list[str] = field(default_factory=list)
    unavailable: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, event: Event) -> None:
        if self.unavailable.is_set():
            raise Unavailable("the world")
        self.seen.append(RecordChanged.model_validate_json(event.data).record_id)


@dataclass
class Group:
    """A consumer group for one test, with its topics."""

    name: str
    topic: str
    settings: KafkaSettings

    def consumer(self, handler: Callable[[Event], Awaitable[None]]) -> Consumer:
        return Consumer(self.name, [self.topic], {RecordChanged.TYPE: handler}, self.settings, "one")

    async def write(self, records: list[Outgoing]) -> None:
        producer = AIOKafkaProducer(**options(self.settings), max_request_size=2**21)
        await producer.start()
        for record in records:
            await producer.send(
                self.topic, record.value, key=record.key, partition=record.partition, headers=record.headers
            )
        await producer.stop()


async def in_own_group(stack: RunningStack, story: Callable[[Group], Awaitable[None]]) -> None:
    name = own_name("poison")
    group = Group(name, f"{name}.changes", stack.kafka_settings())
    topics = {group.topic: 3, dead_letters.dead_letter_topic(name): 1, dead_letters.replay_topic(name): 1}
    async with own_topics(stack.kafka, **topics):
        await story(group)


async def test_200_poison_among_5000_good_ones(stack: RunningStack) -> None:
    """Ten kinds, evenly spread: all good events are handled, all poison is dead-lettered with its cause."""
    goods = [good() for _ in range(GOOD)]
    poison = [(name, KINDS[name](good())) for number in range(POISON) for name in [list(KINDS)[number % len(KINDS)]]]

    async def story(group: Group) -> None:
        mixed = []
        for number, record in enumerate(goods):
            mixed.append(record._replace(partition=number % 3))
            if number % (GOOD // POISON) == 0:
                mixed.append(poison[number * POISON // GOOD][1]._replace(partition=len(mixed) % 3))
        await group.write(mixed)
        handled = Handled()
        running = asyncio.create_task(group.consumer(handled).run())
        wanted = {record.key.decode() for record in goods}

        async def done() -> bool:
            running.done() and running.result()
            return (
                wanted <= set(handled.seen)
                and len(await dead_letters.dead_letters(group.settings, group.name)) == POISON
            )

        await eventually(done, 90, "all good ones handled, all poison dead-lettered", pause=0.5)
        running.cancel()
        await asyncio.wait([running])
        found = await dead_letters.dead_letters(group.settings, group.name)
        assert sorted(dead_letter.value for dead_letter in found.values()) == sorted(
            record.value or b"" for _, record in poison
        )
        for identity, dead_letter in found.items():
            headers = dict(dead_letter.headers)
            assert headers["dead_cause"]
            assert identity == f"{group.topic}/{headers['dead_partition'].decode()}/{headers['dead_offset'].decode()}"

    await in_own_group(stack, story)


async def test_dead_letters_are_replayed_to_their_group_after_the_fix(stack: RunningStack) -> None:
    records = [good() for _ in range(12)]

    async def story(group: Group) -> None:
        await group.write(records)

        async def broken(event: Event) -> None:
            raise ValueError("a bug in the handler")

        first = asyncio.create_task(group.consumer(broken).run())
        await eventually(lambda: has_dead_letters(group, 12), 60, "all are dead-lettered")
        first.cancel()
        await asyncio.wait([first])
        handled = Handled()
        second = asyncio.create_task(group.consumer(handled).run())
        assert len(await dead_letters.replay(group.settings, group.name, ["all"], "test")) == 12
        await eventually(lambda: same_length(handled.seen, 12), 30, "all were handled after the fix")
        second.cancel()
        await asyncio.wait([second])
        assert sorted(handled.seen) == sorted(record.key.decode() for record in records)
        assert await dead_letters.dead_letters(group.settings, group.name) == {}

    await in_own_group(stack, story)


async def has_dead_letters(group: Group, count: int) -> bool:
    return len(await dead_letters.dead_letters(group.settings, group.name)) == count


async def same_length(found: list[str], count: int) -> bool:
    return len(found) == count


async def test_a_bad_deployment_stops_and_dead_letters_nothing(stack: RunningStack) -> None:
    async def story(group: Group) -> None:
        await group.write([KINDS["no JSON"](good())._replace(partition=0) for _ in range(60)])
        with pytest.raises(TooManyDeadLetters):
            async with asyncio.timeout(30):
                await group.consumer(Handled()).run()
        assert await dead_letters.dead_letters(group.settings, group.name) == {}

    await in_own_group(stack, story)


async def test_during_an_outage_nothing_is_dead_lettered_and_afterwards_it_resumes(stack: RunningStack) -> None:
    records = [good() for _ in range(300)]

    async def story(group: Group) -> None:
        handled = Handled()
        handled.unavailable.set()
        running = asyncio.create_task(group.consumer(handled).run())
        await group.write(records)
        await asyncio.sleep(
            scaled(8, 5)
        )  # more than two session time-outs of the group: the consumer must stay a member
        assert not running.done()
        assert handled.seen == []
        handled.unavailable.clear()
        await eventually(lambda: same_length(sorted(set(handled.seen)), 300), 40, "all are handled")
        assert await dead_letters.dead_letters(group.settings, group.name) == {}
        running.cancel()
        await asyncio.wait([running])

    await in_own_group(stack, story)
