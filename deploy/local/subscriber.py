"""A downstream system, as small as it can be: reads a topic from now on, committed events only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from aiokafka import AIOKafkaConsumer

EVENT_ARRIVES_WITHIN = 30


@dataclass(frozen=True)
class Event:
    """One Kafka record; `headers` hold the CloudEvents envelope."""

    topic: str
    partition: int
    offset: int
    headers: dict[str, str]
    value: bytes


class Subscriber:
    """Reads with nothing but a Kafka client: it imports nothing of this product."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    @classmethod
    @asynccontextmanager
    async def opened(cls, servers: str, topic: str) -> AsyncIterator[Self]:
        """Starts at the end of every partition: sees all that is written after this returns."""
        # Without a group a consumer is given every partition of its topic.
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=servers, isolation_level="read_committed", enable_auto_commit=False
        )
        await consumer.start()
        try:
            await consumer.seek_to_end()
            for partition in consumer.assignment():
                await consumer.position(partition)
            yield cls(consumer)
        finally:
            await consumer.stop()

    async def next_about(self, subject: str, version: int) -> Event:
        """The next event of this document in this version; skips what others do meanwhile."""
        async with asyncio.timeout(EVENT_ARRIVES_WITHIN):
            while True:
                event = await self._next()
                about = (event.headers.get("ce_subject"), event.headers.get("ce_sequence"))
                if about == (subject, str(version)):
                    return event

    async def _next(self) -> Event:
        record = await self._consumer.getone()
        headers = {name: value.decode() for name, value in record.headers}
        return Event(record.topic, record.partition, record.offset, headers, record.value or b"")
