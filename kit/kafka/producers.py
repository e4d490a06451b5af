"""Producers: events with the stream's position in one transaction, and single records that must arrive."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence

import aiokafka.producer.sender
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as Partition
from aiokafka.structs import OffsetAndMetadata

from kit.core.events import Outgoing
from kit.kafka.connections import CLOSE_SECONDS, close, connected, options, translate_errors
from kit.settings import KafkaSettings

# while the previous transaction completes aiokafka sleeps this long: 20 ms caps it at 50 transactions/s
aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.002
MAX_BATCH_BYTES = 900 * 1024  # below the topics' max.message.bytes
MAX_DEAD_LETTER_BYTES = 2 * 1024 * 1024 - 64 * 1024  # the topics' limit, less the cause in the headers


class TransactionalProducer:
    """Events and position in one transaction: both or neither. After any error it must be discarded."""

    def __init__(self, settings: KafkaSettings, group: str) -> None:
        self._settings, self._group = settings, group
        self._shard = Partition(group, 0)
        self._producer = AIOKafkaProducer(
            **options(settings),
            transactional_id=f"{group}.0",
            transaction_timeout_ms=10_000,
            retry_backoff_ms=3,
            max_batch_size=MAX_BATCH_BYTES,
        )

    async def start(self) -> None:
        """Fence the previous leader and abort its open transaction. Raises `Unavailable`, `Fenced`."""
        await connected(self._producer, self._settings.transaction_seconds)

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has. Raises `Unavailable`."""
        with translate_errors():
            async with asyncio.timeout(self._settings.call_timeout_seconds):
                return len(await self._producer.partitions_for(topic))

    async def commit(self, records: Iterable[Outgoing], count: int, position: str) -> None:
        """Write the records and the position (a running count and a text) in one transaction.

        An error (`Unavailable`, `Fenced`) leaves the transaction open; the next producer aborts it, because
        aborting here may hang as the failed call did.
        """
        with translate_errors():
            async with asyncio.timeout(self._settings.transaction_seconds):
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
        """Close it without flushing, unlike its own `stop`: a zombie that retries would fence its successor.

        Cancelled once, aiokafka's sender waits for its requests, which fail because their connections are closed;
        cancelled again, it gives up a request that waits for metadata, which a closed client never gets.
        """
        sending = self._producer._sender.sender_task
        for _ in range(2):
            if sending is not None:
                sending.cancel()
            await self._producer.client.close()  # also the connections that its last requests opened again
            if sending is not None and not sending.done():
                await asyncio.wait([sending], timeout=CLOSE_SECONDS)
        self._producer._closed = True


def _retrieved(future: asyncio.Future[object]) -> None:
    """Retrieve a failed batch's error, which asyncio would otherwise log: after a failed commit nothing awaits it."""
    if not future.cancelled():
        future.exception()


class Producer:
    """An idempotent producer for single records that must arrive: dead letters, replays."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer = AIOKafkaProducer(
            **options(settings), enable_idempotence=True, max_request_size=MAX_DEAD_LETTER_BYTES
        )

    async def start(self) -> None:
        """Connect. Raises `Unavailable`."""
        await connected(self._producer, self._settings.call_timeout_seconds)

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        partition: int | None = None,
    ) -> None:
        """Write one record and wait until all replicas have it. Raises `Unavailable`."""
        with translate_errors():
            async with asyncio.timeout(self._settings.call_timeout_seconds):
                await self._producer.send_and_wait(topic, value, key=key, headers=list(headers), partition=partition)

    async def close(self) -> None:
        """Disconnect."""
        await close(self._producer)
