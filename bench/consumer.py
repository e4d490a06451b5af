"""Row: the consumer with a guarded upsert, beside bare guarded upserts."""

import asyncio
from statistics import median

from aiokafka import AIOKafkaProducer

from bench.consuming import TOPIC
from bench.processes import measured
from bench.publishing import changed
from bench.samples import documents
from bench.stack import Stack
from bench.table import Row, at_least
from kit import kafka
from kit.core.events import encode
from kit.kafka.connections import options
from kit.kafka.dead_letters import dead_letter_topic, replay_topic

EVENTS = 5_000
ROUNDS = 3


async def rows(stack: Stack) -> list[Row]:
    await _write(stack)
    taken: dict[str, list[float]] = {"ours": [], "bare": []}
    for number in range(ROUNDS):
        group = f"bench.consumer-{number}"
        await _create(stack, dead_letter_topic(group), replay_topic(group))
        for how, speeds in taken.items():
            answer = await measured(
                "bench.consuming", how=how, count=EVENTS, group=f"{group}" if how == "ours" else f"bare-{number}"
            )
            speeds.append(answer["per_second"])
    ours, bare = (median(speeds) for speeds in taken.values())
    return [at_least(f"consumer, guarded upsert of {EVENTS:,} events", ours, bare, 0.5, "events/s", rounds=taken)]


async def _create(stack: Stack, *topics: str, partitions: int = 1) -> None:
    async with kafka.admin(stack.kafka) as admin:
        for topic in topics:
            await admin.create(topic, partitions, 1, {})


async def _write(stack: Stack) -> None:
    await _create(stack, TOPIC, partitions=stack.kafka.partitions)
    producer = AIOKafkaProducer(**options(stack.kafka))
    await producer.start()
    made = [encode(changed(document)[0], "/bench", stack.kafka.partitions) for document in documents(EVENTS)]
    sent = [await producer.send(TOPIC, e.value, key=e.key, partition=e.partition, headers=e.headers) for e in made]
    await asyncio.gather(*sent)
    await producer.stop()
