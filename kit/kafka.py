"""Kafka: the only importer of aiokafka. Thin: what the publisher, the consumers and the tools need, nothing more."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, cast

import aiokafka.producer.sender
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka import ConsumerRecord as Record
from aiokafka import TopicPartition as Partition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    CommitFailedError,
    KafkaError,
    OffsetOutOfRangeError,
    ProducerFenced,
    TopicAlreadyExistsError,
    UnknownMemberIdError,
    for_code,
)
from aiokafka.structs import OffsetAndMetadata

from kit import log
from kit.errors import Unavailable
from kit.events import Outgoing
from kit.settings import KafkaSettings

__all__ = ["Consumer", "Fenced", "KafkaError", "Partition", "Producer", "Reader", "Record", "TransactionalProducer"]

logger = log.get(__name__)

# while the previous transaction completes aiokafka sleeps this long: 20 ms caps it at 50 transactions/s (design §2)
aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.002
MAX_BATCH_BYTES = 900 * 1024  # below the topics' max.message.bytes
MAX_LETTER_BYTES = 2 * 1024 * 1024 - 64 * 1024  # as much as a topic takes, less the cause in its headers
CLOSE_SECONDS = 3
ASK_SECONDS = 5
MAX_READ_BYTES = 512 * 1024  # of a partition at a time
Fenced = ProducerFenced


class TransactionalProducer:
    """Events and position in one transaction: both or neither. After any error it must be thrown away."""

    def __init__(self, settings: KafkaSettings, group: str) -> None:
        self._settings, self._group = settings, group
        self._shard = Partition(group, 0)
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.servers,
            transactional_id=f"{group}.0",
            transaction_timeout_ms=10_000,
            retry_backoff_ms=3,
            max_batch_size=MAX_BATCH_BYTES,
        )

    async def start(self) -> None:
        """Fence whoever led before and end what it left open."""
        async with asyncio.timeout(self._settings.call_timeout_seconds):
            await self._producer.start()

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has."""
        async with asyncio.timeout(self._settings.call_timeout_seconds):
            return len(await self._producer.partitions_for(topic))

    async def commit(self, records: Iterable[Outgoing], count: int, position: str) -> None:
        """Write the records and the position (a running count and a text) in one transaction.

        An error leaves the transaction open, for the next producer to end: aborting may hang as the call before did.
        """
        async with asyncio.timeout(self._settings.call_timeout_seconds):
            await self._producer.begin_transaction()
            acknowledged = await self._send(records)
            offset = {self._shard: OffsetAndMetadata(count, position)}
            await self._producer.send_offsets_to_transaction(offset, self._group)
            await asyncio.gather(*acknowledged)
            await self._producer.commit_transaction()

    async def _send(self, records: Iterable[Outgoing]) -> list[asyncio.Future[object]]:
        by_partition: dict[tuple[str, int], list[Outgoing]] = defaultdict(list)
        for record in records:
            by_partition[record.topic, record.partition].append(record)
        futures = [future for run in by_partition.values() for future in await self._send_run(run)]
        for future in futures:
            future.add_done_callback(_retrieved)
        return futures

    async def _send_run(self, run: Sequence[Outgoing]) -> list[asyncio.Future[object]]:
        futures, batch = [], self._producer.create_batch()
        for record in run:
            full = batch.append(key=record.key, value=record.value, timestamp=None, headers=record.headers) is None
            if full:
                futures.append(await self._producer.send_batch(batch, record.topic, partition=record.partition))
                batch = self._producer.create_batch()
                batch.append(key=record.key, value=record.value, timestamp=None, headers=record.headers)
        futures.append(await self._producer.send_batch(batch, run[0].topic, partition=run[0].partition))
        return futures

    async def discard(self) -> None:
        """Cut it off at once. Its own `stop` flushes first, and a zombie that retries would fence its successor."""
        sending = self._producer._sender.sender_task
        if sending is not None:
            sending.cancel()
        await self._producer.client.close()
        if sending is not None:
            await asyncio.wait([sending], timeout=CLOSE_SECONDS)
            await self._producer.client.close()  # what its last requests connected anew
        self._producer._closed = True


def _retrieved(future: asyncio.Future[object]) -> None:
    """When a commit fails elsewhere, nobody waits for its batches any more: no complaint about that."""
    if not future.cancelled():
        future.exception()


class Producer:
    """An idempotent producer for single records that must arrive: dead letters, replays."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.servers, enable_idempotence=True, max_request_size=MAX_LETTER_BYTES
        )

    async def start(self) -> None:
        """Connect. Raises `Unavailable`."""
        await _connected(self._producer, self._settings)

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        partition: int | None = None,
    ) -> None:
        """Write one record and wait for all replicas' yes. Raises `Unavailable`."""
        try:
            async with asyncio.timeout(self._settings.call_timeout_seconds):
                await self._producer.send_and_wait(topic, value, key=key, headers=list(headers), partition=partition)
        except (KafkaError, TimeoutError) as error:
            raise Unavailable("Kafka") from error

    async def close(self) -> None:
        """Disconnect."""
        await _close(self._producer)


class OffsetGone(Exception):
    """The topic does not hold this offset: it was made anew, or its beginning was deleted."""


@dataclass(frozen=True)
class Chunk:
    """Records in the order of each partition, and by partition where reading goes on (behind transaction markers)."""

    records: list[Record]
    reached: dict[int, int]


class Reader:
    """Reads a topic's committed records from whatever offsets it is told: nobody's member, it commits nothing."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._settings, self._topic = settings, topic
        self._all = [Partition(topic, number) for number in range(settings.partitions)]
        self._at: dict[Partition, int] = {}
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.servers,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",  # an offset that is gone is told, not passed over
            max_partition_fetch_bytes=MAX_READ_BYTES,
            fetch_max_wait_ms=100,
        )

    async def start(self) -> None:
        """Connect. Raises `Unavailable`."""
        with _world():
            await _connected(self._consumer, self._settings)

    async def read(self, offsets: Mapping[int, int], wait_ms: int, most: int) -> Chunk:
        """At most `most` records of these partitions from these offsets on; none after `wait_ms` without one.

        A broker that is away looks like no records; `ends` tells. Raises `OffsetGone`, `Unavailable`.
        """
        self._go({Partition(self._topic, number): offset for number, offset in offsets.items()})
        with _world():
            async with asyncio.timeout(self._settings.call_timeout_seconds):
                found = await self._consumer.getmany(timeout_ms=wait_ms, max_records=most)
                for partition in self._at:
                    self._at[partition] = await self._consumer.position(partition)
        records = [record for batch in found.values() for record in batch]
        return Chunk(records, {partition.partition: offset for partition, offset in self._at.items()})

    def stands_at(self, offsets: Mapping[int, int]) -> bool:
        """Whether reading there needs no seeking: what was fetched ahead is of use."""
        return {partition.partition: offset for partition, offset in self._at.items()} == offsets

    def _go(self, wanted: Mapping[Partition, int]) -> None:
        """In one go, without waiting: aiokafka would otherwise look for a first position of its own."""
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
        """By partition the offset behind the last committed record. Raises `Unavailable`."""
        return await self._ask(self._consumer.end_offsets)

    async def _ask(self, call: Callable[[list[Partition]], Awaitable[Mapping[Partition, int]]]) -> dict[int, int]:
        with _world():
            async with asyncio.timeout(ASK_SECONDS):
                return {partition.partition: offset for partition, offset in (await call(self._all)).items()}

    async def since(self, moment: datetime) -> dict[int, int]:
        """By partition the first offset written at `moment` or later; the end where there is none yet."""
        ends, milliseconds = await self.ends(), max(0, int(moment.timestamp() * 1000))
        with _world():
            async with asyncio.timeout(ASK_SECONDS):
                found = await self._consumer.offsets_for_times(dict.fromkeys(self._all, milliseconds))
        return {partition.partition: at.offset if at else ends[partition.partition] for partition, at in found.items()}

    async def close(self) -> None:
        """Disconnect."""
        await _close(self._consumer)


@contextmanager
def _world() -> Iterator[None]:
    try:
        yield
    except OffsetOutOfRangeError as error:
        raise OffsetGone from error
    except (KafkaError, TimeoutError) as error:
        raise Unavailable("Kafka") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise Unavailable("Kafka") from error  # aiokafka's own, of a connection that broke: nobody cancelled us


class Rebalance(Protocol):
    """Told when partitions come and before they go."""

    async def assigned(self, partitions: set[Partition]) -> None:
        """These are ours now."""

    async def revoked(self, partitions: set[Partition]) -> None:
        """These are somebody else's as soon as this returns."""


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed
    def __init__(self, rebalance: Rebalance) -> None:
        self._rebalance = rebalance

    async def on_partitions_assigned(self, assigned: Iterable[Partition]) -> None:
        await self._rebalance.assigned(set(assigned))

    async def on_partitions_revoked(self, revoked: Iterable[Partition]) -> None:
        await self._rebalance.revoked(set(revoked))


class Consumer:
    """A member of a group: reads committed records from the beginning, commits only what it is told."""

    def __init__(self, settings: KafkaSettings, group: str, instance: str, session_ms: int | None = None) -> None:
        self._settings = settings
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.servers,
            group_id=group,
            group_instance_id=f"{group}.{instance}",
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=session_ms or settings.session_timeout_ms,
            heartbeat_interval_ms=min(3_000, (session_ms or settings.session_timeout_ms) // 4),
            rebalance_timeout_ms=60_000,
            fetch_max_wait_ms=250,  # also how long a partition waits that was full when the last fetch was sent
        )

    async def start(self, topics: Sequence[str], rebalance: Rebalance) -> None:
        """Join the group."""
        self._consumer.subscribe(topics, listener=_Listener(rebalance))
        async with asyncio.timeout(self._settings.call_timeout_seconds):
            await self._consumer.start()

    async def poll(self, partitions: Iterable[Partition], wait_ms: int, most: int) -> Mapping[Partition, list[Record]]:
        """Records of these partitions; also what keeps the membership alive."""
        async with asyncio.timeout(self._settings.call_timeout_seconds):
            return cast(
                Mapping[Partition, list[Record]],
                await self._consumer.getmany(*partitions, timeout_ms=wait_ms, max_records=most),
            )

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Everything before these offsets is done. Raises `Unavailable`."""
        try:
            async with asyncio.timeout(self._settings.call_timeout_seconds):
                await self._consumer.commit(dict(offsets))
        except (KafkaError, TimeoutError) as error:
            raise Unavailable("Kafka") from error

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Fetch no more from these for now."""
        self._consumer.pause(*partitions)

    def resume(self, partition: Partition) -> None:
        """Fetch again."""
        self._consumer.resume(partition)

    def assignment(self) -> set[Partition]:
        """The partitions that are ours."""
        return set(self._consumer.assignment())

    async def lags(self) -> dict[Partition, tuple[int, int]]:
        """By partition of ours: the next offset to read, and how many committed records wait behind it."""
        async with asyncio.timeout(self._settings.call_timeout_seconds):
            ends = await self._consumer.end_offsets(self.assignment())
            positions = {partition: await self._consumer.position(partition) for partition in ends}
        return {partition: (at, max(0, ends[partition] - at)) for partition, at in positions.items()}

    async def end(self, partition: Partition) -> int:
        """Behind the last committed record of any partition, not only ours."""
        async with asyncio.timeout(self._settings.call_timeout_seconds):
            return int((await self._consumer.end_offsets([partition]))[partition])

    async def close(self) -> None:
        """Leave the group."""
        await _close(self._consumer)


async def _close(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    try:
        with _world():
            async with asyncio.timeout(CLOSE_SECONDS):
                await client.stop()
    except Exception:
        logger.warning("a Kafka client did not close", exc_info=True)


class Admin:
    """Topics and groups' positions."""

    def __init__(self, client: AIOKafkaAdminClient, timeout_seconds: float) -> None:
        self._client, self._timeout = client, timeout_seconds

    async def position(self, group: str) -> tuple[int, str]:
        """The count and text that the publisher `group` stored last; (0, "") when there is none. Raises `Unavailable`.

        Asked for by name a missing position is -1. No answer about it is an error of the whole reply, which aiokafka
        passes over: a broker that has just started still loads the group, and taking that for "none" means a snapshot.
        """
        shard = Partition(group, 0)
        async with asyncio.timeout(self._timeout):
            found = (await self._client.list_consumer_group_offsets(group, partitions=[shard])).get(shard)
        if found is None:
            raise Unavailable("Kafka")
        return (0, "") if found.offset < 0 else (found.offset, found.metadata or "")

    async def topics(self) -> dict[str, int]:
        """Partition counts by topic."""
        async with asyncio.timeout(self._timeout):
            described = await self._client.describe_topics()
        return {topic["topic"]: len(topic["partitions"]) for topic in described}

    async def create(self, name: str, partitions: int, replication: int, config: Mapping[str, str]) -> bool:
        """Create a topic; False when it is there already."""
        topic = NewTopic(name, partitions, replication, topic_configs=dict(config))
        response = await self._client.create_topics([topic])
        code = response.topic_errors[0][1]
        if for_code(code) is TopicAlreadyExistsError:
            return False
        if code:
            raise for_code(code)(response.topic_errors[0][2])
        return True

    async def configure(self, name: str, config: Mapping[str, str]) -> None:
        """Set a topic's configuration."""
        await self._client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=dict(config))])


class GroupInUse(Exception):
    """The group has members: only they may move it."""


async def move_group(settings: KafkaSettings, group: str, to: Mapping[Partition, tuple[int, str]]) -> None:
    """Let a group without members go on elsewhere: at these offsets, with these texts. Raises `GroupInUse`."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.servers, group_id=group, enable_auto_commit=False)
    try:
        await _connected(consumer, settings)
        consumer.assign(list(to))
        async with asyncio.timeout(settings.call_timeout_seconds):
            await consumer.commit({partition: OffsetAndMetadata(*place) for partition, place in to.items()})
    except (CommitFailedError, UnknownMemberIdError) as error:
        raise GroupInUse(group) from error
    finally:
        await consumer.stop()


@asynccontextmanager
async def admin(settings: KafkaSettings) -> AsyncIterator[Admin]:
    """Open a client for topics and positions. Raises `Unavailable` when no broker answers."""
    client = AIOKafkaAdminClient(bootstrap_servers=settings.servers, request_timeout_ms=10_000)
    try:
        try:
            async with asyncio.timeout(settings.call_timeout_seconds):
                await client.start()
        except (KafkaError, TimeoutError) as error:
            raise Unavailable("Kafka") from error
        yield Admin(client, settings.call_timeout_seconds)
    finally:  # also when a readiness check gave up waiting
        await client.close()


async def ping(settings: KafkaSettings) -> None:
    """A readiness check: a broker answers. Raises `Unavailable`."""
    async with admin(settings):
        return


async def read_all(settings: KafkaSettings, topics: Sequence[str], take: Callable[[Record], None]) -> None:
    """Show every committed record of topics, from the beginning to where they end now.

    Raises `Unavailable` when no broker answers.
    """
    consumer = AIOKafkaConsumer(  # without a group it is given every partition of its topics
        *topics, bootstrap_servers=settings.servers, isolation_level="read_committed", enable_auto_commit=False,
        auto_offset_reset="earliest",  # seeking there would race with aiokafka's own first reset, and may lose
    )  # fmt: skip
    try:
        await _connected(consumer, settings)
        partitions = consumer.assignment()
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    take(record)
    finally:
        await consumer.stop()


async def _connected(client: AIOKafkaConsumer | AIOKafkaProducer, settings: KafkaSettings) -> None:
    try:
        async with asyncio.timeout(settings.call_timeout_seconds):
            await client.start()
    except (KafkaError, TimeoutError) as error:
        raise Unavailable("Kafka") from error
