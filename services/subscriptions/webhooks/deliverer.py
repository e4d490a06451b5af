"""Delivery to one webhook: in order for each person; after a failure only that person's events wait (decision 0023)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from kit.core.clock import Clock
from kit.core.events import partition_of
from kit.kafka import Reader
from kit.observability import log
from services.subscriptions.feed_events import FeedEvent, parse_event, person_of
from services.subscriptions.readers import KafkaReaders
from services.subscriptions.webhooks.client import WebhookClient, delivery_of
from services.subscriptions.webhooks.domain import (
    GONE,
    Delivery,
    Outcome,
    PersonQueue,
    Progress,
    Reason,
    Replay,
    Retries,
    Webhook,
    kind_matches,
)
from services.subscriptions.webhooks.store import Deliveries, Progresses, Replays

READ_MS = 1_000
BATCH = 500  # Kafka records read at a time for one person's queue
IDLE_SECONDS = 0.5
PERSON_QUEUES_AT_ONCE = 16
logger = log.get(__name__)


class Pause(Exception):
    """Raised when the webhook must be paused until somebody resumes it."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


@dataclass
class BatchResult:
    """The results of one batch of attempts, stored at its end."""

    log: list[Delivery] = field(default_factory=list)
    queues: list[PersonQueue] = field(default_factory=list)
    caught_up: list[str] = field(default_factory=list)
    gone: bool = False

    def count(self, outcome: Outcome) -> int:
        """How many attempts had this outcome."""
        return sum(delivery.outcome == outcome for delivery in self.log)


@dataclass(frozen=True)
class DeliveryStores:
    """The collections that a deliverer writes."""

    progress: Progresses
    deliveries: Deliveries
    replays: Replays


class Deliverer:
    """Delivers to one version of a webhook until it is cancelled or raises `Pause`."""

    def __init__(
        self,
        webhook: Webhook,
        client: WebhookClient,
        stores: DeliveryStores,
        reader: Reader,
        readers: KafkaReaders,
        retries: Retries,
        at_once: int,
        clock: Clock,
    ) -> None:
        self.webhook = webhook
        self._client = client
        self._stores = stores
        self._reader = reader
        self._readers = readers
        self._retries = retries
        self._clock = clock
        self._slots = asyncio.Semaphore(at_once)
        self._number = 0
        self._progress: Progress | None = None

    @property
    def failing(self) -> bool:
        """Whether no delivery has succeeded since a failure."""
        return self._progress is not None and self._progress.failing_since is not None

    async def run(self) -> None:
        """Deliver until cancelled. Raises `Pause`, and errors of dependencies, after which the caller restarts it."""
        await self._reader.start()
        try:
            progress = await self._resume()
            while True:
                progress = await self._apply_replays(progress)
                progress = await self._retry_queues(progress)
                progress = await self._deliver_next(progress)
        finally:
            await self._reader.close()

    async def _resume(self) -> Progress:
        self._number, stored = await self._stores.progress.get(self.webhook.id)
        if stored is None:
            start = await self._reader.since(self.webhook.since)
            stored = Progress(offsets=_list(start), updated_at=self._clock.now())
        progress = stored.within(_list(await self._reader.begins()), _list(await self._reader.ends()))
        if progress != stored:  # the topic was recreated or its beginning deleted: what it has now is delivered
            logger.error("webhook position expired", webhook=self.webhook.id)
        return await self._save(progress.resumed(self.webhook.resumed_at))

    async def _save(self, progress: Progress) -> Progress:
        self._number += 1
        await self._stores.progress.put(self.webhook.id, self._number, progress)
        self._progress = progress
        return progress

    async def _apply_replays(self, progress: Progress) -> Progress:
        """Move positions back for requested replays; after a crash this is repeated, which is harmless."""
        for replay in await self._stores.replays.requested(self.webhook.id):
            start = await (self._reader.since(replay.since) if replay.since else self._reader.begins())
            progress = await self._save(self._moved_back(progress, replay, start))
            with_history = await self._stores.replays.get(replay.id) or replay
            await self._stores.replays.replace(with_history.begun(at=self._clock.now()))
        return progress

    def _moved_back(self, progress: Progress, replay: Replay, start: dict[int, int]) -> Progress:
        if replay.person is None:
            return progress.moved_back(_list(start))
        partition = partition_of(replay.person, len(progress.offsets))
        queue = PersonQueue(
            person=replay.person, partition=partition, offset=start[partition], due_at=self._clock.now()
        )
        earlier = [one for one in progress.lanes if one.person == replay.person and one.offset < queue.offset]
        return progress if earlier else progress.with_queues([queue])

    async def _deliver_next(self, progress: Progress) -> Progress:
        """Deliver the next events of all people without a queue; as many as new queues are allowed."""
        if progress.room <= 0:
            await asyncio.sleep(IDLE_SECONDS)
            return progress
        idle = progress.idle(self._clock.now(), timedelta(milliseconds=READ_MS))
        wait = round(idle.total_seconds() * 1000)
        chunk = await self._reader.read(dict(enumerate(progress.offsets)), wait, progress.room)
        if not chunk.records and _list(chunk.reached) == progress.offsets:
            return progress
        result = BatchResult()
        people: dict[str, list[FeedEvent]] = {}
        for event in filter(None, map(parse_event, chunk.records)):
            if not progress.waits(event.person):
                people.setdefault(event.person, []).append(event)
        async with asyncio.TaskGroup() as group:
            for person, events in people.items():
                group.create_task(self._deliver_to_person(person, events, result))
        return await self._store(progress.read_to(_list(chunk.reached)), result)

    async def _deliver_to_person(self, person: str, events: Sequence[FeedEvent], result: BatchResult) -> None:
        """Deliver a person's events in order; the first failure starts a queue with the rest."""
        for event in events:
            if not await self._attempt(event, 1, result):
                now = self._clock.now()
                queue = PersonQueue(person=person, partition=event.partition, offset=event.offset, due_at=now)
                result.queues.append(queue.failed(event.offset, now, self._retries))
                return

    async def _retry_queues(self, progress: Progress) -> Progress:
        due = progress.due(self._clock.now())[:PERSON_QUEUES_AT_ONCE]
        if not due:
            return progress
        result = BatchResult()
        async with asyncio.TaskGroup() as group:
            for queue in due:
                group.create_task(self._deliver_queue(queue, progress, result))
        return await self._store(progress, result)

    async def _deliver_queue(self, queue: PersonQueue, progress: Progress, result: BatchResult) -> None:
        """Deliver a batch of a queue; the queue ends when it has caught up with the webhook's position."""
        end = progress.offsets[queue.partition]
        position = {queue.partition: queue.offset}
        async with self._readers.borrow(position) as reader:
            chunk = await reader.read(position, READ_MS, BATCH)
        theirs = [record for record in chunk.records if record.offset < end and person_of(record) == queue.person]
        for event in filter(None, map(parse_event, theirs)):
            attempt = queue.attempts + 1 if event.offset == queue.offset else 1
            if not await self._attempt(event, attempt, result, last=self._is_last(queue, event, progress)):
                result.queues.append(queue.failed(event.offset, self._clock.now(), self._retries))
                return
            queue = queue.advanced(event.offset + 1, self._clock.now())
        if chunk.reached[queue.partition] >= end:
            result.caught_up.append(queue.person)
        else:
            result.queues.append(queue.advanced(chunk.reached[queue.partition], self._clock.now()))

    def _is_last(self, queue: PersonQueue, event: FeedEvent, progress: Progress) -> bool:
        """Whether the event is abandoned if it fails now: retried until `give_up` while other deliveries succeeded."""
        failing_since = queue.since if event.offset == queue.offset else None
        expired = failing_since is not None and self._clock.now() - failing_since >= self._retries.give_up
        return expired and progress.failing_since is None

    async def _attempt(self, event: FeedEvent, attempt: int, result: BatchResult, *, last: bool = False) -> bool:
        """Whether to go on with the person's next event: this one was delivered, filtered out, or abandoned."""
        if not kind_matches(self.webhook.kinds, event.kind):
            return True
        async with self._slots:
            answer = await self._client.call(self.webhook, event.id, event.body)
        outcome: Outcome = "delivered" if answer.ok else "abandoned" if last else "failed"
        if outcome == "abandoned":
            logger.error("delivery abandoned", webhook=self.webhook.id, event_id=event.id)
        result.gone |= answer.status == GONE
        result.log.append(delivery_of(self.webhook, event, attempt, answer, outcome, self._clock))
        return outcome != "failed"

    async def _store(self, progress: Progress, result: BatchResult) -> Progress:
        """Store the log and the progress; after a crash before this, the events are delivered again."""
        await self._stores.deliveries.insert_all(result.log)
        progress = progress.with_queues(result.queues, result.caught_up).counted(
            succeeded=result.count("delivered"), failed=result.count("failed"), abandoned=result.count("abandoned"),
            now=self._clock.now(),
        )  # fmt: skip
        progress = await self._save(progress)
        if result.gone:
            raise Pause("gone")
        if progress.failing_since and self._clock.now() - progress.failing_since >= self._retries.give_up:
            raise Pause("failing")
        return progress


def _list(offsets: Mapping[int, int]) -> list[int]:
    return [offsets[partition] for partition in range(len(offsets))]
