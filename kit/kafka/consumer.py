"""A member of a consumer group."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, cast

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import ConsumerRecord as Record
from aiokafka import TopicPartition as Partition

from kit.core.errors import Unavailable
from kit.kafka.connections import close, connected, options, translate_errors
from kit.settings import KafkaSettings

# In a group that only divides work: after a crash its work waits this long, and then until the others know.
EMPTY_SESSION_MS, EMPTY_HEARTBEAT_MS = 6_000, 500


class Rebalance(Protocol):
    """Called when partitions are assigned and before they are revoked."""

    async def assigned(self, partitions: set[Partition]) -> None:
        """These partitions are assigned to this member."""

    async def revoked(self, partitions: set[Partition]) -> None:
        """These partitions are revoked as soon as this returns."""


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed
    def __init__(self, rebalance: Rebalance, before: Callable[[Iterable[Partition]], None]) -> None:
        self._rebalance, self._before = rebalance, before
        self.closing = False

    async def on_partitions_assigned(self, assigned: Iterable[Partition]) -> None:
        self._before(assigned)
        if not self.closing:
            await self._rebalance.assigned(set(assigned))

    async def on_partitions_revoked(self, revoked: Iterable[Partition]) -> None:
        await self._rebalance.revoked(set(revoked))


class Consumer:
    """A member of a group: reads committed records from the beginning, commits only the offsets it is given.

    `empty`: its topics have no records, only partitions by which Kafka divides work among members. Nothing is fetched.
    """

    def __init__(self, settings: KafkaSettings, group: str, instance: str, *, empty: bool = False) -> None:
        self._settings, self._empty, self._started = settings, empty, False
        self._listener: _Listener | None = None
        session_ms = EMPTY_SESSION_MS if empty else settings.session_timeout_ms
        self._consumer = AIOKafkaConsumer(
            **options(settings),
            group_id=group,
            group_instance_id=f"{group}.{instance}",
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=EMPTY_HEARTBEAT_MS if empty else min(3_000, session_ms // 4),
            rebalance_timeout_ms=60_000,
            fetch_max_wait_ms=settings.fetch_wait_ms,
        )

    async def start(self, topics: Sequence[str], rebalance: Rebalance) -> None:
        """Join the group. Raises `Unavailable`."""
        self._listener = _Listener(rebalance, self._paused_at_once)
        self._consumer.subscribe(topics, listener=self._listener)
        await connected(self._consumer, self._settings.call_timeout_seconds)
        self._started = True

    def _paused_at_once(self, partitions: Iterable[Partition]) -> None:
        if self._empty:
            self.pause(partitions)

    async def poll(self, partitions: Iterable[Partition], wait_ms: int, most: int) -> Mapping[Partition, list[Record]]:
        """Records of these partitions; also keeps the membership alive. Raises `Unavailable`: then rejoin."""
        with translate_errors():
            async with asyncio.timeout(self._settings.call_timeout_seconds):
                found = await self._consumer.getmany(*partitions, timeout_ms=wait_ms, max_records=most)
        return cast(Mapping[Partition, list[Record]], found)

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit these offsets: everything before them is done. Raises `Unavailable`."""
        with translate_errors():
            async with asyncio.timeout(self._settings.call_timeout_seconds):
                await self._consumer.commit(dict(offsets))

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Stop fetching from these partitions."""
        self._consumer.pause(*partitions)

    def resume(self, partition: Partition) -> None:
        """Continue fetching."""
        self._consumer.resume(partition)

    def assignment(self) -> set[Partition]:
        """The assigned partitions."""
        return set(self._consumer.assignment())

    async def lags(self) -> dict[Partition, tuple[int, int]]:
        """By assigned partition: the next offset to read, and the number of committed records from there on.

        Raises `Unavailable`, also before the group is joined.
        """
        if not self._started:
            raise Unavailable("Kafka")
        with translate_errors():
            async with asyncio.timeout(self._settings.call_timeout_seconds):
                ends = await self._consumer.end_offsets(self.assignment())
                positions = {partition: await self._consumer.position(partition) for partition in ends}
        return {partition: (at, max(0, ends[partition] - at)) for partition, at in positions.items()}

    async def end(self, partition: Partition) -> int:
        """The offset after the last committed record of any partition, assigned or not. Raises `Unavailable`."""
        with translate_errors():
            async with asyncio.timeout(self._settings.call_timeout_seconds):
                return int((await self._consumer.end_offsets([partition]))[partition])

    async def close(self) -> None:
        """Leave the group. aiokafka first finishes a join in progress; what that assigns starts nothing any more."""
        if self._listener:
            self._listener.closing = True
        await close(self._consumer)
