"""Delivery to one webhook: the topic in order, person by person; who can't be served waits alone (decision 0023)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from kit.core.clock import Clock
from kit.core.events import partition_of
from kit.kafka import Reader
from kit.observability import log
from services.subscriptions.changes import Change, person_of, read
from services.subscriptions.readers import KafkaReaders
from services.subscriptions.webhooks.calls import WebhookClient, delivery_of
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
    wanted,
)
from services.subscriptions.webhooks.store import Deliveries, Progresses, Replays

READ_MS = 1_000
BATCH = 500  # records looked at for one person
IDLE_SECONDS = 0.5
PERSON_QUEUES_AT_ONCE = 16
logger = log.get(__name__)


class Pause(Exception):
    """The webhook must not be called any more until somebody resumes it."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


@dataclass
class BatchResult:
    """What came of one round of attempts, to be written down at its end."""

    log: list[Delivery] = field(default_factory=list)
    lanes: list[PersonQueue] = field(default_factory=list)
    caught_up: list[str] = field(default_factory=list)
    gone: bool = False

    def count(self, outcome: Outcome) -> int:
        """How many attempts had this outcome."""
        return sum(delivery.outcome == outcome for delivery in self.log)


@dataclass(frozen=True)
class DeliveryStores:
    """What is written about deliveries."""

    progress: Progresses
    deliveries: Deliveries
    replays: Replays


class Deliverer:
    """Works on one version of one webhook until it is cancelled, or ends with `Pause`."""

    def __init__(
        self,
        webhook: Webhook,
        calls: WebhookClient,
        files: DeliveryStores,
        reader: Reader,
        readers: KafkaReaders,
        retries: Retries,
        at_once: int,
        clock: Clock,
    ) -> None:
        self.webhook, self._calls, self._files = webhook, calls, files
        self._reader, self._readers, self._retries, self._clock = reader, readers, retries, clock
        self._room = asyncio.Semaphore(at_once)
        self._number = 0
        self._progress: Progress | None = None

    @property
    def failing(self) -> bool:
        """Whether nothing got through since a failure."""
        return self._progress is not None and self._progress.failing_since is not None

    async def run(self) -> None:
        """Deliver for ever. Raises `Pause`, and whatever the world does: whoever runs it starts it over."""
        await self._reader.start()
        try:
            progress = await self._begun()
            while True:
                progress = await self._replayed(progress)
                progress = await self._lanes(progress)
                progress = await self._main(progress)
        finally:
            await self._reader.close()

    async def _begun(self) -> Progress:
        self._number, known = await self._files.progress.get(self.webhook.id)
        if known is None:
            start = await self._reader.since(self.webhook.since)
            known = Progress(offsets=_list(start), updated_at=self._clock.now())
        there = known.within(_list(await self._reader.begins()), _list(await self._reader.ends()))
        if there != known:  # the topic was made anew, or lost its beginning: what it holds now is delivered
            logger.error("webhook position expired", webhook=self.webhook.id)
        return await self._saved(there.resumed(self.webhook.resumed_at))

    async def _saved(self, progress: Progress) -> Progress:
        self._number += 1
        await self._files.progress.put(self.webhook.id, self._number, progress)
        self._progress = progress
        return progress

    async def _replayed(self, progress: Progress) -> Progress:
        """What somebody wants again; begun twice after a crash, which does no harm."""
        for replay in await self._files.replays.requested(self.webhook.id):
            start = await (self._reader.since(replay.since) if replay.since else self._reader.begins())
            progress = await self._saved(self._back(progress, replay, start))
            whole = await self._files.replays.get(replay.id) or replay
            await self._files.replays.replace(whole.begun(at=self._clock.now()))
        return progress

    def _back(self, progress: Progress, replay: Replay, start: dict[int, int]) -> Progress:
        if replay.person is None:
            return progress.again(_list(start))
        partition = partition_of(replay.person, len(progress.offsets))
        lane = PersonQueue(person=replay.person, partition=partition, offset=start[partition], due_at=self._clock.now())
        earlier = [one for one in progress.lanes if one.person == replay.person and one.offset < lane.offset]
        return progress if earlier else progress.with_lanes([lane])

    async def _main(self, progress: Progress) -> Progress:
        """The next events of everybody who does not wait; as many as there is room for people who may come to wait."""
        if progress.room <= 0:
            await asyncio.sleep(IDLE_SECONDS)
            return progress
        idle = progress.idle(self._clock.now(), timedelta(milliseconds=READ_MS))
        wait = round(idle.total_seconds() * 1000)
        chunk = await self._reader.read(dict(enumerate(progress.offsets)), wait, progress.room)
        if not chunk.records and _list(chunk.reached) == progress.offsets:
            return progress
        work = BatchResult()
        people: dict[str, list[Change]] = {}
        for change in filter(None, map(read, chunk.records)):
            if not progress.waits(change.person):
                people.setdefault(change.person, []).append(change)
        async with asyncio.TaskGroup() as group:
            for person, run in people.items():
                group.create_task(self._person(person, run, work))
        return await self._finished(progress.read_to(_list(chunk.reached)), work)

    async def _person(self, person: str, run: Sequence[Change], work: BatchResult) -> None:
        """A person's events in order; at the first that fails they come to wait."""
        for change in run:
            if not await self._done(change, 1, work):
                now = self._clock.now()
                lane = PersonQueue(person=person, partition=change.partition, offset=change.offset, due_at=now)
                work.lanes.append(lane.failed(change.offset, now, self._retries))
                return

    async def _lanes(self, progress: Progress) -> Progress:
        due = progress.due(self._clock.now())[:PERSON_QUEUES_AT_ONCE]
        if not due:
            return progress
        work = BatchResult()
        async with asyncio.TaskGroup() as group:
            for lane in due:
                group.create_task(self._lane(lane, progress, work))
        return await self._finished(progress, work)

    async def _lane(self, lane: PersonQueue, progress: Progress, work: BatchResult) -> None:
        """On from where the person stands, a stretch at a time, until they have caught up with everybody else."""
        end = progress.offsets[lane.partition]
        place = {lane.partition: lane.offset}
        async with self._readers.one(place) as reader:
            chunk = await reader.read(place, READ_MS, BATCH)
        theirs = [record for record in chunk.records if record.offset < end and person_of(record) == lane.person]
        for change in filter(None, map(read, theirs)):
            attempt = lane.attempts + 1 if change.offset == lane.offset else 1
            if not await self._done(change, attempt, work, last=self._hopeless(lane, change, progress)):
                work.lanes.append(lane.failed(change.offset, self._clock.now(), self._retries))
                return
            lane = lane.moved(change.offset + 1, self._clock.now())
        if chunk.reached[lane.partition] >= end:
            work.caught_up.append(lane.person)
        else:
            work.lanes.append(lane.moved(chunk.reached[lane.partition], self._clock.now()))

    def _hopeless(self, lane: PersonQueue, change: Change, progress: Progress) -> bool:
        """Refused for so long while others got through: it is this event's fault, and the next one is tried."""
        tried = lane.since if change.offset == lane.offset else None
        over = tried is not None and self._clock.now() - tried >= self._retries.give_up
        return over and progress.failing_since is None

    async def _done(self, change: Change, attempt: int, work: BatchResult, *, last: bool = False) -> bool:
        """Whether the person's next event may be tried: this one was taken, is not wanted, or had its last try."""
        if not wanted(self.webhook.kinds, change.kind):
            return True
        async with self._room:
            answer = await self._calls.call(self.webhook, change.id, change.body)
        outcome: Outcome = "delivered" if answer.ok else "abandoned" if last else "failed"
        if outcome == "abandoned":
            logger.error("delivery abandoned", webhook=self.webhook.id, event_id=change.id)
        work.gone |= answer.status == GONE
        work.log.append(delivery_of(self.webhook, change, attempt, answer, outcome, self._clock))
        return outcome != "failed"

    async def _finished(self, progress: Progress, work: BatchResult) -> Progress:
        """Write down what was done. A crash before it means that it is done again."""
        await self._files.deliveries.insert_all(work.log)
        progress = progress.with_lanes(work.lanes, work.caught_up).noted(
            succeeded=work.count("delivered"), failed=work.count("failed"), abandoned=work.count("abandoned"),
            now=self._clock.now(),
        )  # fmt: skip
        progress = await self._saved(progress)
        if work.gone:
            raise Pause("gone")
        if progress.failing_since and self._clock.now() - progress.failing_since >= self._retries.give_up:
            raise Pause("failing")
        return progress


def _list(offsets: Mapping[int, int]) -> list[int]:
    return [offsets[partition] for partition in range(len(offsets))]
