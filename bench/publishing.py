"""Row 1, the measured process: a backlog by kit.messaging.publisher, or the same records by a bare producer."""

import asyncio
import gc
import time
from collections.abc import Mapping
from typing import ClassVar

from aiokafka import AIOKafkaProducer

from bench.processes import Answer, answer
from bench.stack import Stack
from contracts.records import RecordChanged
from kit.core.events import NewEvent, Outgoing, Publication, encode
from kit.kafka import MAX_BATCH_BYTES  # importing it also shortens aiokafka's pause between transactions, for both
from kit.kafka.connections import options
from kit.messaging.publisher import Publisher
from kit.observability import metrics
from kit.runtime.process import tune
from services.records.store import COLLECTION

SERVICE = "bench"
TOPIC = f"{SERVICE}.changes"
BATCH = 500


class BenchChanged(RecordChanged):
    """The events of records, on a separate topic."""

    TOPIC: ClassVar[str] = TOPIC


def changed(document: Mapping[str, object]) -> list[NewEvent]:
    """Make the event as services.records.publications does."""
    return [BenchChanged.of(document, record_id=document["_id"])]


PUBLICATIONS: dict[str, Publication] = {COLLECTION: changed}


async def work(how: str, count: int) -> Answer:
    tune()
    stack = Stack.running()
    return await (_publish(stack, count) if how == "ours" else _send(stack, count))


async def _publish(stack: Stack, count: int) -> Answer:
    """Measure from the first batch on Kafka to the last, without the start."""
    events = metrics.publisher_events.labels(SERVICE)._value
    async with stack.database(SERVICE) as database:
        publisher = Publisher(SERVICE, database, PUBLICATIONS, stack.kafka, "bench")
        running = asyncio.create_task(publisher.run())
        while not (first := events.get()):
            await asyncio.sleep(0.001)
        began, used = time.perf_counter(), time.process_time()
        while events.get() < count:
            await asyncio.sleep(0.005)
        took = _answer(count - first, began, used)
        running.cancel()
        await asyncio.wait([running])
    return took


async def _send(stack: Stack, count: int) -> Answer:
    """Measure the minimum of a transactional producer, with the retry pauses of kit.kafka."""
    records = await _records(stack, count)
    gc.collect()
    gc.freeze()
    producer = AIOKafkaProducer(
        **options(stack.kafka), transactional_id="bench.bare", retry_backoff_ms=3,
        max_batch_size=MAX_BATCH_BYTES,
    )  # fmt: skip
    await producer.start()
    began, used = time.perf_counter(), time.process_time()
    for start in range(0, count, BATCH):
        async with producer.transaction():
            for each in records[start : start + BATCH]:
                await producer.send(
                    each.topic, each.value, key=each.key, partition=each.partition, headers=each.headers
                )
    took = _answer(count, began, used)
    await producer.stop()
    return took


async def _records(stack: Stack, count: int) -> list[Outgoing]:
    async with stack.database(SERVICE) as database:
        cursor = database[COLLECTION].find({}, {"history": False}, sort=[("$natural", -1)], limit=count)
        found = await cursor.to_list(count)
    return [encode(changed(document)[0], f"/{SERVICE}", stack.kafka.partitions) for document in reversed(found)]


def _answer(count: float, began: float, used: float) -> Answer:
    seconds = time.perf_counter() - began
    cpu = time.process_time() - used
    count = count or 1
    return {"per_second": count / seconds, "cpu_us": cpu / count * 1e6}


if __name__ == "__main__":
    answer(work)
