"""Row 2, the measuring process: writes at a fixed rate through the API, and a subscriber that records arrival times."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.load import Target, asked, at_pace, connections, percentiles
from bench.processes import Answer, answer
from bench.samples import documents
from bench.stack import Stack
from bench.wire import request
from kit import kafka  # noqa: F401  (it shortens aiokafka's pause between transactions)
from kit.kafka.connections import options
from services.records.store import COLLECTION

PEOPLE, CONNECTIONS = 200, 64
SETTLE_SECONDS = 3.0
Times = dict[str, float]


async def work(pace: int, seconds: float, body: object, port: int) -> Answer:
    stack = Stack.running()
    path = "/api/records/practitioners/me/records"
    texts = [request("POST", path, stack.token(str(uuid4())), body).encode() for _ in range(PEOPLE)]
    began: Times = {}
    answered: Times = {}
    async with (
        _subscriber(stack, "records.changes") as arrived,
        connections(port, CONNECTIONS, stack.file["ca"]) as free,
    ):
        numbers = iter(range(10**9))
        psutil.cpu_percent()
        await at_pace(pace, seconds, lambda: _write(free, texts[next(numbers) % PEOPLE], began, answered))
        busy = psutil.cpu_percent()
        await asyncio.sleep(SETTLE_SECONDS)
    missing = [each for each in began if each not in arrived]
    if missing:
        raise RuntimeError(f"{len(missing)} of {len(began)} events did not arrive")
    return {
        "busy_percent": busy,
        "before": percentiles([arrived[each] - at for each, at in began.items()]),
        "answer": percentiles([max(0.0, arrived[each] - at) for each, at in answered.items()]),
    }


async def _write(free: Target, text: bytes, began: Times, answered: Times) -> None:
    start = time.perf_counter()
    record = json.loads(await asked(free, text))["record_id"]
    began[record], answered[record] = start, time.perf_counter()


async def bare(pace: int, seconds: float) -> Answer:
    """Measure the ceiling: a majority insert and a transaction for each event, one after the other."""
    stack = Stack.running()
    began: Times = {}
    producer = AIOKafkaProducer(**options(stack.kafka), transactional_id="bench.latency", retry_backoff_ms=3)
    await producer.start()
    async with _subscriber(stack, "bench.latency") as arrived, stack.database("bench") as database:
        for document in documents(int(pace * seconds)):
            began[document["_id"]] = time.perf_counter()
            await database[COLLECTION].insert_one(document)
            async with producer.transaction():
                await producer.send("bench.latency", b"x", headers=[("ce_subject", document["_id"].encode())])
            await asyncio.sleep(1 / pace)
        await asyncio.sleep(SETTLE_SECONDS)
    await producer.stop()
    return percentiles([arrived[each] - at for each, at in began.items()])


@asynccontextmanager
async def _subscriber(stack: Stack, topic: str) -> AsyncIterator[Times]:
    consumer = AIOKafkaConsumer(topic, **options(stack.kafka), isolation_level="read_committed")
    await consumer.start()
    await consumer.seek_to_end()
    for partition in consumer.assignment():
        await consumer.position(partition)
    arrived: Times = {}
    reading = asyncio.create_task(_read(consumer, arrived))
    yield arrived
    reading.cancel()
    await asyncio.wait([reading])
    await consumer.stop()


async def _read(consumer: AIOKafkaConsumer, arrived: Times) -> None:
    async for record in consumer:
        arrived[dict(record.headers)["ce_subject"].decode()] = time.perf_counter()


async def either(pace: int, seconds: float, **ours: object) -> Answer:
    return await (work(pace, seconds, **ours) if ours else bare(pace, seconds))  # type: ignore[arg-type]


if __name__ == "__main__":
    answer(either)
