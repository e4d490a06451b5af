"""A subscriber independent of the product: plain Kafka, committed records only."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from kit.kafka.connections import options
from kit.settings import KafkaSettings
from tests.support.waiting import eventually

Records = list[ConsumerRecord]


@dataclass
class Subscriber:
    """Keeps the records read, tombstones separately; resumes at its position after a broken connection."""

    kafka: KafkaSettings
    topic: str
    records: Records = field(default_factory=list)
    tombstones: Records = field(default_factory=list)
    _next: dict[int, int] = field(default_factory=dict)

    async def skip(self) -> None:
        """Reads from now on instead of from the beginning."""
        async with self._consumer() as (consumer, partitions):
            self._next = {tp.partition: end for tp, end in (await consumer.end_offsets(partitions)).items()}

    async def read(self) -> Records:
        """Reads up to the current end."""
        async with asyncio.timeout(60), self._consumer() as (consumer, partitions):
            ends = await consumer.end_offsets(partitions)
            for partition in partitions:
                consumer.seek(partition, self._next.get(partition.partition, 0))
            while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
                for partition, batch in (await consumer.getmany(timeout_ms=200)).items():
                    self.records += [record for record in batch if record.value is not None]
                    self.tombstones += [record for record in batch if record.value is None]
                    self._next[partition.partition] = (
                        batch[-1].offset + 1
                    )  # without an await: nothing may come in between
        return self.records

    async def until(self, enough: Callable[[Records], bool], within: float, what: str) -> Records:
        """Reads until `enough` is true."""

        async def found() -> Records | None:
            return self.records if enough(await self.read()) else None

        return await eventually(found, within, what) or []

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
        consumer = await eventually(self._started, 60, "Kafka lets a subscriber in", pause=0.5)
        assert consumer is not None
        try:
            yield consumer, sorted(consumer.assignment())
        finally:
            await consumer.stop()

    async def _started(self) -> AIOKafkaConsumer | None:
        consumer = AIOKafkaConsumer(  # without a group it reads every partition of its topic
            self.topic, **options(self.kafka), isolation_level="read_committed", enable_auto_commit=False
        )
        try:
            await consumer.start()
        except KafkaError:
            await consumer.stop()
            return None
        return consumer


def headers_of(record: ConsumerRecord) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}


def version_of(record: ConsumerRecord) -> tuple[str, int]:
    """The document id and version of an event."""
    headers = headers_of(record)
    return headers["ce_subject"], int(headers["ce_sequence"])
