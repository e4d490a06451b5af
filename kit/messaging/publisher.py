"""The publisher: turns each new version of a service's documents into an event, exactly once.

Leadership is Kafka's own group assignment; events and the stream's position go into one transaction; any error ends
publishing, which restarts after a pause with a new producer.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from kit import kafka
from kit.core.documents import PERSON
from kit.core.errors import Unavailable, cause_of
from kit.core.events import NewEvent, Outgoing, Publication, PublicationFailed, encode, tombstone
from kit.kafka import Admin, Consumer, Fenced, Partition, TransactionalProducer
from kit.messaging.feed import BATCH, Batch, Feed, Position, backlog_after, prefetch
from kit.mongo import Database, cluster_time, oplog_seconds
from kit.mongo.removal import TOMBSTONES
from kit.observability import log, metrics, tracing
from kit.runtime.health import StallDetector
from kit.settings import KafkaSettings

logger = log.get(__name__)


class WrongPartitionCount(Exception):
    """The topic has another partition count than configured: order per person would break."""


class OutOfTouch(Exception):
    """A producer could not start: Kafka may have given the leadership to another process meanwhile."""


@dataclass(frozen=True)
class PublisherPolicy:
    """How a publisher works.

    `encode_at_once`: documents encoded (half a millisecond) before the event loop runs the open transaction. After each
    batch it pauses for as long as its transaction took, so that more events share the next one: it costs the broker and
    each subscriber as much as ten events. An idle machine takes few milliseconds, one that is full up to
    `longest_pause_seconds` or more. `restart_seconds`: doubled, with
    jitter, `doublings` times at most (some ten seconds) while publishing keeps ending within `lasted_seconds`.
    `idle_commit_seconds`: how often the position is stored while there is nothing to publish.
    """

    encode_at_once: int = 25
    shortest_pause_seconds: float = 0.003
    longest_pause_seconds: float = 0.025
    restart_seconds: float = 0.1
    doublings: int = 7
    lasted_seconds: float = 5.0
    fenced_seconds: float = 0.5
    probe_seconds: float = 5.0
    idle_commit_seconds: float = 30.0

    def pause(self, took: float) -> float:
        """Seconds to wait after a transaction that took so long and was not filled."""
        return min(self.longest_pause_seconds, max(self.shortest_pause_seconds, took))

    def restart(self, failures: int) -> float:
        """Seconds to wait before a restart, after so many failures in a row."""
        wait = self.restart_seconds * 2.0 ** min(failures, self.doublings)
        return wait * random.uniform(0.5, 1)  # noqa: S311  # jitter, no secret


class Publisher:
    """Publishes a service's database; of several publishers one leads."""

    def __init__(
        self,
        service: str,
        database: Database,
        publications: Mapping[str, Publication],
        settings: KafkaSettings,
        instance: str,
        policy: PublisherPolicy = PublisherPolicy(),
        producer: type[TransactionalProducer] = TransactionalProducer,
    ) -> None:
        self._policy, self._producer = policy, producer
        self._service = service
        self._database = database
        self._publications = publications
        self._settings, self._instance = settings, instance
        self._group = f"{service}.publisher"
        self._collections = [*publications, TOMBSTONES]
        self._feed = Feed(service, database, self._collections)
        self._leading: asyncio.Task[None] | None = None
        self._known: Position | None = None
        metrics.publisher_leads.labels(service).set(0)
        for counter in (metrics.publisher_restarts, metrics.publisher_snapshots, metrics.publisher_failed_events):
            metrics.initialise(counter, [service])
        self.stall = StallDetector("publishing", settings.stall_seconds)

    @property
    def leads(self) -> bool:
        """Whether this process leads, by Kafka's assignment."""
        return self._leading is not None

    async def run(self) -> None:
        """Wait for leadership, and publish while this process has it. Raises `Unavailable`.

        When it is fenced by another leader, or may be none any more, it rejoins: a new producer would fence the leader.
        """
        while True:
            try:
                await self._be_member()
            except Fenced:
                logger.warning("publisher fenced by another leader")
            except OutOfTouch:
                logger.warning("publisher out of touch with Kafka")
            await asyncio.sleep(self._policy.fenced_seconds)

    async def _be_member(self) -> None:
        member = Consumer(self._settings, self._group, self._instance, empty=True)
        try:
            await member.start([self._group], self)
            while True:
                await member.poll([], 1_000, 1)  # there are never records; the call keeps the membership alive
                if self._leading and self._leading.done():
                    self._leading.result()
        finally:
            await self.revoked(set())
            await member.close()

    async def assigned(self, partitions: set[Partition]) -> None:
        """The one partition is assigned to this process: lead."""
        if partitions and not self.leads:
            self._leading = asyncio.create_task(self._keep_publishing())

    async def revoked(self, partitions: set[Partition]) -> None:
        """Stop leading."""
        if self._leading:
            self._leading.cancel()
            await asyncio.wait([self._leading])
            self._leading = None

    async def _keep_publishing(self) -> None:
        clock, failures = asyncio.get_running_loop().time, 0
        while True:
            began = clock()
            try:
                await self._publish()
            except (Fenced, OutOfTouch, WrongPartitionCount):
                raise
            except Exception as error:
                metrics.publisher_restarts.labels(self._service).inc()
                logger.warning("publishing failed, restarting", error=repr(error.__cause__ or error))
            failures = 0 if clock() - began > self._policy.lasted_seconds else failures + 1
            await asyncio.sleep(self._policy.restart(failures))

    async def _publish(self) -> None:
        producer = self._producer(self._settings, self._group)
        leads = metrics.publisher_leads.labels(self._service)
        try:
            await self._start(producer)
            await self._check_partitions(producer)
            position = await self._position()
            logger.info("publishing started", published=position.count)
            leads.set(1)
            await self._follow(producer, position)
        finally:
            leads.set(0)
            await producer.discard()

    async def _start(self, producer: TransactionalProducer) -> None:
        try:
            await producer.start()
        except Unavailable as error:
            raise OutOfTouch from error

    async def _check_partitions(self, producer: TransactionalProducer) -> None:
        found = await producer.partitions(f"{self._service}.changes")
        if found != self._settings.partitions:
            raise WrongPartitionCount(
                f"{self._service}.changes has {found}, configured are {self._settings.partitions}"
            )

    async def _follow(self, producer: TransactionalProducer, position: Position) -> None:
        """In a backlog three stages overlap: the server reads a batch, one is encoded, one is committed."""
        clock = asyncio.get_running_loop().time
        committed = clock()
        events = metrics.publisher_events.labels(self._service)
        async for records, reached in prefetch(self._encoded(self._feed.batches(position)), _full):
            if records or clock() - committed > self._policy.idle_commit_seconds:
                began = clock()
                await producer.commit(records, reached.count, reached.text())
                committed = clock()
                events.inc(len(records))
                if len(records) < BATCH:
                    await asyncio.sleep(self._policy.pause(committed - began))

    async def _encoded(
        self, batches: AsyncGenerator[Batch, None]
    ) -> AsyncGenerator[tuple[list[Outgoing], Position], None]:
        async for batch in batches:
            records: list[Outgoing] = []
            for number, (collection, document) in enumerate(batch.documents):
                if number % self._policy.encode_at_once == 0:
                    await asyncio.sleep(0)
                records += self._encode(collection, document, traced=len(batch.documents) < BATCH)
            yield records, batch.position

    def _encode(self, collection: str, document: Mapping[str, object], *, traced: bool) -> list[Outgoing]:
        """In a backlog the trace is only passed on: a span of its own costs more than the rest of publishing."""
        source, partitions = f"/{self._service}", self._settings.partitions
        if collection == TOMBSTONES:
            return [tombstone(document, source, partitions, f"{self._service}.changes")]
        try:
            events = self._publications[collection](document)
            return [encode(_traced(event) if traced else event, source, partitions) for event in events]
        except Exception:
            metrics.publisher_failed_events.labels(self._service).inc()
            logger.exception("version not publishable", collection=collection, id=document["_id"])
            return [encode(_failed(document), source, partitions, f"{self._service}.changes")]

    async def ping(self) -> None:
        """A readiness check: a broker answers. Raises `Unavailable`."""
        await kafka.ping(self._settings)

    async def watch(self) -> None:
        """Measure the lag until cancelled: for its gauges and the stall check."""
        while True:
            try:
                async with kafka.admin(self._settings) as admin:  # kept open: a connection costs more than its requests
                    await self._keep_measuring(admin)
            except Exception as error:
                logger.warning("lag measurement failed", error=cause_of(error))
            await asyncio.sleep(self._policy.probe_seconds)
            with suppress(Exception):  # Kafka is unavailable: the backlog still grows
                if self._known:
                    await self._measure(self._known)

    async def _keep_measuring(self, admin: Admin) -> None:
        while True:
            position = self._known = Position.read(*await admin.position(self._group))
            self.stall.observe(position, waiting=await self._measure(position) > 0)
            await asyncio.sleep(self._policy.probe_seconds)

    async def _measure(self, position: Position) -> int:
        """The number of changes after the position."""
        backlog = await backlog_after(self._database, self._collections, position)
        now = (await cluster_time(self._database)).time
        metrics.publisher_lag_events.labels(self._service).set(backlog.events)
        metrics.publisher_lag_seconds.labels(self._service).set(max(0.0, now - backlog.oldest) if backlog.oldest else 0)
        metrics.publisher_oplog_seconds.labels(self._service).set(await oplog_seconds(self._database))
        return backlog.events

    async def _position(self) -> Position:
        async with kafka.admin(self._settings) as admin:
            return Position.read(*await admin.position(self._group))


def _full(encoded: tuple[list[Outgoing], Position]) -> bool:
    return len(encoded[0]) >= BATCH


def _traced(event: NewEvent) -> NewEvent:
    """A span in the event's trace; the spans of consumers follow it."""
    if event.traceparent is None:
        return event
    with tracing.span(f"publish {event.contract.TYPE}", event.traceparent):
        return event._replace(traceparent=tracing.traceparent() or event.traceparent)


def _failed(document: Mapping[str, object]) -> NewEvent:
    """The event in place of one that could not be made; it works for any document."""
    identity = str(document["_id"])
    person, version, at = (document.get(name) for name in (PERSON, "version", "updated_at"))
    return PublicationFailed.of(
        {"version": version if isinstance(version, int) else 0,
         "updated_at": at if isinstance(at, datetime) else datetime.now(UTC)},
        document_id=identity, practitioner_id=str(person or identity), action="failed", changed=[],
    )  # fmt: skip
