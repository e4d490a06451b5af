"""Reads without a consumer group: from offsets that the caller keeps, or a whole topic."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaConsumer
from aiokafka import ConsumerRecord as Record
from aiokafka import TopicPartition as Partition

from kit.kafka.connections import close, connected, options, translate_errors
from kit.settings import KafkaSettings

ASK_SECONDS = 5
MAX_READ_BYTES = 512 * 1024  # of a partition at a time


@dataclass(frozen=True)
class Chunk:
    """Records in the order of each partition, and by partition the next offset (after transaction markers)."""

    records: list[Record]
    reached: dict[int, int]


class Reader:
    """Reads a topic's committed records from any offsets; it is in no group and commits nothing."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._settings, self._topic = settings, topic
        self._all = [Partition(topic, number) for number in range(settings.partitions)]
        self._at: dict[Partition, int] = {}
        self._consumer = AIOKafkaConsumer(
            **options(settings),
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",  # an offset that is gone is an error, not skipped
            max_partition_fetch_bytes=MAX_READ_BYTES,
            fetch_max_wait_ms=100,
        )

    async def start(self) -> None:
        """Connect. Raises `Unavailable`."""
        await connected(self._consumer, self._settings.call_timeout_seconds)

    async def read(self, offsets: Mapping[int, int], wait_ms: int, most: int) -> Chunk:
        """At most `most` records of these partitions from these offsets on; none after `wait_ms` without one.

        An unavailable broker looks like no records; `ends` raises. Raises `OffsetGone`, `Unavailable`.
        """
        self._go({Partition(self._topic, number): offset for number, offset in offsets.items()})
        with translate_errors():
            async with asyncio.timeout(self._settings.call_timeout_seconds):
                found = await self._consumer.getmany(timeout_ms=wait_ms, max_records=most)
                for partition in self._at:
                    self._at[partition] = await self._consumer.position(partition)
        records = [record for batch in found.values() for record in batch]
        return Chunk(records, {partition.partition: offset for partition, offset in self._at.items()})

    def is_at(self, offsets: Mapping[int, int]) -> bool:
        """Whether reading from these offsets needs no seek, so that prefetched records can be used."""
        return {partition.partition: offset for partition, offset in self._at.items()} == offsets

    def _go(self, wanted: Mapping[Partition, int]) -> None:
        """Assign and seek without awaiting in between: aiokafka would otherwise reset the position itself."""
        if wanted.keys() != self._at.keys():
            self._at = {}
            self._consumer.assign(list(wanted))
        for partition, offset in wanted.items():
            if self._at.get(partition) != offset:
                self._consumer.seek(partition, offset)
        self._at = dict(wanted)

    async def begins(self) -> dict[int, int]:
        """By partition the first offset. Raises `Unavailable`."""
        return await self._ask(self._consumer.beginning_offsets)

    async def ends(self) -> dict[int, int]:
        """By partition the offset after the last committed record. Raises `Unavailable`."""
        return await self._ask(self._consumer.end_offsets)

    async def _ask(self, call: Callable[[list[Partition]], Awaitable[Mapping[Partition, int]]]) -> dict[int, int]:
        with translate_errors():
            async with asyncio.timeout(ASK_SECONDS):
                return {partition.partition: offset for partition, offset in (await call(self._all)).items()}

    async def since(self, moment: datetime) -> dict[int, int]:
        """By partition the first offset written at `moment` or later; the end if there is none."""
        ends, milliseconds = await self.ends(), max(0, int(moment.timestamp() * 1000))
        with translate_errors():
            async with asyncio.timeout(ASK_SECONDS):
                found = await self._consumer.offsets_for_times(dict.fromkeys(self._all, milliseconds))
        return {partition.partition: at.offset if at else ends[partition.partition] for partition, at in found.items()}

    async def close(self) -> None:
        """Disconnect."""
        await close(self._consumer)


async def read_all(settings: KafkaSettings, topics: Sequence[str], take: Callable[[Record], None]) -> None:
    """Every committed record of the topics, from the beginning to their current end.

    Raises `Unavailable` when no broker answers.
    """
    consumer = AIOKafkaConsumer(  # without a group it is assigned all partitions
        *topics, **options(settings), isolation_level="read_committed", enable_auto_commit=False,
        auto_offset_reset="earliest",  # a seek would race with aiokafka's own first reset
    )  # fmt: skip
    try:
        await connected(consumer, settings.call_timeout_seconds)
        partitions = consumer.assignment()
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    take(record)
    finally:
        await close(consumer)
