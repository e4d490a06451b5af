"""The publisher, on a real broker and a real database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from bson import json_util
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from kit.core.errors import Unavailable
from kit.kafka import TransactionalProducer
from kit.kafka.connections import options
from kit.messaging.publisher import Publisher, WrongPartitionCount
from tests.support.names import seeded
from tests.support.scale import scaled
from tests.support.subscriber import headers_of
from tests.support.things import PARTITIONS, Things, running
from tests.support.topics import group_position
from tests.support.waiting import eventually


async def store_position(things: Things, count: int, text: str) -> None:
    """Stores a position that an operator or a bug could have left."""
    producer = AIOKafkaProducer(
        **options(things.settings), transactional_id=f"{things.group}.by-hand", max_batch_size=1
    )
    await producer.start()
    try:
        async with producer.transaction():
            offset = {TopicPartition(things.group, 0): OffsetAndMetadata(count, text)}
            await producer.send_offsets_to_transaction(offset, things.group)
    finally:
        await producer.stop()


async def position_text(things: Things) -> str:
    position = await group_position(things.settings, things.group)
    return position.metadata if position else ""


async def test_every_version_becomes_one_event_in_order(things: Things) -> None:
    async with running(things.publisher):
        await eventually(things.tails, 15, "the publisher tails the stream")
        (thing,) = await things.write(1)
        for text in ("second", "third"):
            thing = await things.rewrite(thing, text)
        assert await things.seen(3) == [(thing.id, 1), (thing.id, 2), (thing.id, 3)]
    headers = headers_of(things.subscriber.records[-1])
    assert (headers["ce_id"], headers["ce_partitionkey"]) == (f"{thing.id}:3", thing.practitioner_id)


async def test_all_events_of_one_person_are_in_one_partition(things: Things) -> None:
    await things.write(30, person="zhang")
    async with running(things.publisher):
        await things.seen(30)
    assert len({record.partition for record in things.subscriber.records}) == 1


async def test_versions_written_before_the_first_start_are_published(things: Things) -> None:
    written = await things.write(1_200)
    async with running(things.publisher):
        seen = await things.seen(1_200)
    assert sorted(seen) == sorted((thing.id, 1) for thing in written)


async def test_after_a_pause_it_resumes_at_its_position(things: Things) -> None:
    first = await things.write(20)
    async with running(things.publisher):
        await things.seen(20)
        await eventually(things.tails, 15, "the publisher tails the stream")
    second = await things.write(20)
    async with running(things.publisher):
        seen = await things.seen(40)
    assert sorted(seen) == sorted((thing.id, 1) for thing in first + second)


@pytest.mark.parametrize(
    "text",
    [
        "not json", "[]", '"text"', "{}", '{"token": {"_data": "82AAAA"}}', '{"token": {"_data": "zz"}}',
        '{"token": "text"}', '{"token": {"$oid": 3}}', '{"snapshot": {"collection": "no such", "after": null}}',
    ],
)  # fmt: skip
async def test_an_unreadable_position_leads_to_a_snapshot(things: Things, text: str) -> None:
    written = await things.write(10)
    await store_position(things, 4, text)
    async with running(things.publisher):
        seen = await things.seen(10)
    assert sorted(seen) == sorted((thing.id, 1) for thing in written)


async def test_a_position_that_has_left_the_oplog_leads_to_a_snapshot(things: Things) -> None:
    written = await things.write(10)
    async with running(things.publisher):
        await things.seen(10)
        await eventually(things.tails, 15, "the publisher tails the stream")
    token = json_util.loads(await position_text(things))["token"]
    of_1970 = {"_data": token["_data"][:2] + "00000001" + token["_data"][10:]}
    await store_position(things, 10, json_util.dumps({"token": of_1970}))
    async with running(things.publisher):
        seen = await things.seen(20)
    assert sorted(seen) == sorted((thing.id, 1) for thing in written * 2)


async def test_an_interrupted_snapshot_resumes_after_the_last_published_document(things: Things) -> None:
    written = sorted(await things.write(30), key=lambda thing: thing.id)
    state = {"collection": "things", "after": written[19].id, "time": await cluster_time(things)}
    await store_position(things, 20, json_util.dumps({"snapshot": state}))
    async with running(things.publisher):
        seen = await things.seen(10)
        await eventually(things.tails, 15, "the publisher tails the stream")
    assert sorted(seen) == [(thing.id, 1) for thing in written[20:]]


async def cluster_time(things: Things) -> object:
    from kit.mongo import cluster_time as now

    return await now(things.database)


async def test_a_dropped_database_does_not_keep_it_busy(things: Things) -> None:
    async with running(things.publisher):
        await things.write(5)
        await things.seen(5)
        await eventually(things.tails, 15, "the publisher tails the stream")
        await things.database.client.drop_database(things.name)
        before = snapshots(things)
        written = await things.write(5)
        seen = await things.seen(10)
        assert {(thing.id, 1) for thing in written} <= set(seen)
        await asyncio.sleep(2)  # a loop would have taken more snapshots
    assert snapshots(things) - before <= 3


def snapshots(things: Things) -> float:
    return REGISTRY.get_sample_value("publisher_snapshots_total", {"service": things.name}) or 0


async def test_the_position_moves_on_while_nothing_is_written(things: Things) -> None:
    async with running(things.publisher):
        await eventually(things.tails, 15, "the publisher tails the stream")
        before = await position_text(things)

        async def moved() -> bool:
            await things.database["elsewhere"].insert_one({})  # the oplog moves on, with nothing for this publisher
            return await position_text(things) != before

        await eventually(moved, 10, "the position moves")
    assert await things.subscriber.read() == []


async def test_another_partition_count_than_configured_is_refused(things: Things) -> None:
    settings = things.settings.model_copy(update={"partitions": PARTITIONS + 1})
    publisher = things.publisher(settings=settings)
    with pytest.raises(WrongPartitionCount, match=f"has {PARTITIONS}, configured are {PARTITIONS + 1}"):
        await asyncio.wait_for(publisher.run(), 20)


async def test_an_unpublishable_version_leaves_a_stub_and_the_rest_is_published(things: Things) -> None:
    (first,) = await things.write(1)
    unpublishable = await things.rewrite(first, "unpublishable")
    (last,) = await things.write(1)
    async with running(things.publisher):
        seen = await things.seen(2)
    assert set(seen) == {(unpublishable.id, 2), (last.id, 1)}
    (stub,) = [record for record in things.subscriber.records if record.key.decode() == unpublishable.id]
    assert headers_of(stub)["ce_type"] == "publication.failed.v1"
    assert headers_of(stub)["ce_partitionkey"] == unpublishable.practitioner_id


@pytest.mark.parametrize(
    "strange",
    [{"text": "no bookkeeping at all"}, {"text": "a version of text", "version": "two", "updated_at": "yesterday"},
     {"text": "x" * 3_000_000, "version": 1, "updated_at": datetime(2026, 1, 1, tzinfo=UTC), "action": "created",
      "changed": [], "practitioner_id": "somebody"}],
)  # fmt: skip
async def test_a_document_inserted_by_hand_does_not_block_the_others(
    things: Things, strange: dict[str, object]
) -> None:
    await things.database["things"].insert_one({"_id": "strange", **strange})
    (good,) = await things.write(1)
    async with running(things.publisher):
        seen = await things.subscriber.until(lambda found: len(found) >= 2, 15, "both are published")
    kinds = {record.key.decode(): headers_of(record)["ce_type"] for record in seen}
    assert kinds == {"strange": "publication.failed.v1", good.id: "things.thing.changed.v1"}


async def leader_of(one: Publisher, two: Publisher) -> Publisher | None:
    leading = [publisher for publisher in (one, two) if publisher.leads]
    return leading[0] if len(leading) == 1 else None


async def test_of_two_publishers_one_leads_and_the_other_takes_over(things: Things) -> None:
    one, two = things.publisher("one"), things.publisher("two")
    tasks = {publisher: asyncio.create_task(publisher.run()) for publisher in (one, two)}
    try:
        leader = await eventually(lambda: leader_of(one, two), 15, "one of them leads")
        assert leader is not None
        await eventually(things.tails, 15, "it tails the stream")
        first = await things.write(10)
        await things.seen(10)
        tasks.pop(leader).cancel()
        second = await things.write(10)
        seen = await things.seen(20)
        assert sorted(seen) == sorted((thing.id, 1) for thing in first + second)
    finally:
        for task in tasks.values():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def usurper(things: Things) -> AsyncIterator[AIOKafkaProducer]:
    """A producer with the publisher's transactional id that does not take part in the leader election."""
    producer = AIOKafkaProducer(**options(things.settings), transactional_id=f"{things.group}.0")
    yield producer
    await producer.stop()


async def test_a_fenced_publisher_restarts_and_loses_nothing(things: Things, usurper: AIOKafkaProducer) -> None:
    async with running(things.publisher) as task:
        await eventually(things.tails, 15, "the publisher tails the stream")
        first = await things.write(5)
        await things.seen(5)
        await usurper.start()
        second = await things.write(5)
        seen = await things.seen(10)
        assert not task.done()
    assert sorted(seen) == sorted((thing.id, 1) for thing in first + second)


class UnreachableAtFirst(TransactionalProducer):
    tries = 0

    async def start(self) -> None:
        UnreachableAtFirst.tries += 1
        if UnreachableAtFirst.tries == 1:
            raise Unavailable("Kafka")
        await super().start()


async def test_one_that_could_not_reach_kafka_joins_again_before_it_publishes(things: Things) -> None:
    """Another one may lead meanwhile, whom its new producer would fence."""
    with capture_logs() as lines:
        async with running(lambda: things.publisher(producer=UnreachableAtFirst)):
            (thing,) = await things.write(1)
            assert await things.seen(1) == [(thing.id, 1)]
    assert "publisher out of touch with Kafka" in [line["event"] for line in lines]


async def test_one_that_is_cancelled_while_it_joins_leaves_nothing(things: Things) -> None:
    random, before = seeded(), asyncio.all_tasks()
    for round_ in range(scaled(60, 12)):
        publisher = things.publisher()
        task = asyncio.create_task(publisher.run())
        await asyncio.sleep(random.uniform(0, 0.5))
        task.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait([task])
        left = [each for each in asyncio.all_tasks() - before if "_keep_publishing" in repr(each.get_coro())]
        assert (left, publisher.leads) == ([], False), f"in round {round_}"
