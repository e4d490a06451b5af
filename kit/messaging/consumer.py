"""The consumer: keeps order per key, retries while a dependency is unavailable, limits dead letters."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ParamSpec

import stamina
from pydantic import ValidationError

from kit import kafka
from kit.core.errors import Reject, TooManyDeadLetters, Unavailable, cause_of
from kit.core.events import Event, decode
from kit.kafka import Partition, Record
from kit.kafka.dead_letters import dead_letter_headers, dead_letter_id, dead_letter_topic, dead_letters, replay_topic
from kit.observability import log, metrics, tracing
from kit.runtime.health import StallDetector
from kit.settings import KafkaSettings

Handler = Callable[[Event], Awaitable[None]]
"""Handles one event, idempotently. Raises `Unavailable` (try again), `Reject` or a pydantic error (dead letter)."""

P = ParamSpec("P")
logger = log.get(__name__)


@dataclass(frozen=True)
class DeadLetterLimit:
    """A consumer stops after `in_a_row`, or when more than `share` of the last `window` events were dead-lettered."""

    in_a_row: int = 20
    share: float = 0.05
    window: int = 1_000


@dataclass(frozen=True)
class ConsumerPolicy:
    """How a consumer works.

    `batch`: records of a partition at a time; `concurrency`: keys handled at once, over all partitions; `busy_poll_ms`:
    the longest wait of a partition whose batch is done; `commit_seconds`: between commits of what all partitions have
    done, since a commit for each batch costs more than the batch; `unexpected_tries`: of an event whose handler
    raises an unexpected error; `measure_seconds`: between two measurements of the lag.
    """

    batch: int = 500
    concurrency: int = 32
    poll_ms: int = 1_000
    busy_poll_ms: int = 20
    commit_seconds: float = 0.25
    unexpected_tries: int = 3
    measure_seconds: float = 2.0
    dead_letters: DeadLetterLimit = DeadLetterLimit()


@dataclass
class _DeadLetterCount:
    limit: DeadLetterLimit
    last: deque[bool] = field(default_factory=deque)
    row: int = 0

    def note(self, dead_lettered: list[bool]) -> None:
        """Count a batch in the order of its offsets. Raises `TooManyDeadLetters`."""
        for one in dead_lettered:
            self.row = self.row + 1 if one else 0
            self.last.append(one)
            if len(self.last) > self.limit.window:
                self.last.popleft()
            if one and (self.row >= self.limit.in_a_row or sum(self.last) > self.limit.share * self.limit.window):
                raise TooManyDeadLetters(f"{self.row} in a row, {sum(self.last)} of the last {self.limit.window}")


class Consumer:
    """A member of a consumer group: its topics, and handlers by event type. Events of other types are skipped."""

    def __init__(
        self,
        group: str,
        topics: list[str],
        handlers: Mapping[str, Handler],
        settings: KafkaSettings,
        instance: str,
        policy: ConsumerPolicy = ConsumerPolicy(),
    ) -> None:
        self.group = self._group = group
        self._topics, self._handlers = [*topics, replay_topic(group)], handlers
        self._settings = settings
        self._instance = instance
        self._policy = policy
        self._dead_letter_count = _DeadLetterCount(policy.dead_letters)
        self._busy: dict[Partition, asyncio.Task[None]] = {}
        self._done: dict[Partition, int] = {}  # the next offset, not committed yet
        self._committed = 0.0
        self._paused: set[Partition] = set()
        self._room = asyncio.Semaphore(policy.concurrency)
        self._dead_letters_end = -1
        self.stall = StallDetector(f"group {group}", settings.stall_seconds)
        metrics.consumer_stopped.labels(group).set(0)
        metrics.consumer_seconds.labels(group)
        for counter in (metrics.dead_letters, metrics.consumer_retries):
            metrics.initialise(counter, [group])

    async def run(self) -> None:
        """Consume until cancelled. Raises `TooManyDeadLetters`; `Unavailable` without a broker: run it again."""
        self._member = kafka.Consumer(self._settings, self._group, self._instance)
        self._dead_letter_producer = kafka.Producer(self._settings)
        self._done.clear()  # of an earlier run: since then other members may have committed more
        try:
            await self._dead_letter_producer.start()
            await self._member.start(self._topics, self)
            while True:
                await self._step()
        except TooManyDeadLetters as error:
            metrics.consumer_stopped.labels(self._group).set(1)
            self.stall.stop(str(error))
            raise
        finally:
            await self._drop(set(self._busy))
            await self._commit()
            await self._member.close()
            await self._dead_letter_producer.close()

    async def assigned(self, partitions: set[Partition]) -> None:
        """New partitions start at the group's last committed offset."""
        self._paused.clear()

    async def revoked(self, partitions: set[Partition]) -> None:
        """Cancel the batches in progress; the next owner handles what was not committed."""
        await self._drop(partitions)
        await self._commit()
        for partition in partitions:
            self._done.pop(partition, None)

    async def _step(self) -> None:
        await self._collect()
        if time.monotonic() - self._committed > self._policy.commit_seconds:
            await self._commit()
        free = self._member.assignment() - self._busy.keys()
        if not free and self._busy:
            await asyncio.wait(self._busy.values(), timeout=1, return_when=asyncio.FIRST_COMPLETED)
            await self._collect()
            free = self._member.assignment() - self._busy.keys()
        if not free:
            self._pause_all()  # a member must poll to keep its partitions
        for partition, records in (await self._member.poll(free, self._poll_ms(), self._policy.batch)).items():
            self._busy[partition] = asyncio.create_task(self._handle_batch(partition, records))

    def _poll_ms(self) -> int:
        """The time to wait for records, at most until the next commit is due."""
        if self._busy:
            return self._policy.busy_poll_ms
        until_commit = self._committed + self._policy.commit_seconds - time.monotonic()
        most = self._policy.poll_ms
        return max(1, min(most, round(until_commit * 1000))) if self._done else most

    async def _commit(self) -> None:
        done, self._committed = dict(self._done), time.monotonic()
        if done:
            with suppress(Unavailable):  # the next commit includes it
                await self._member.commit(done)
                self._done = {at: offset for at, offset in self._done.items() if offset != done.get(at)}

    def _pause_all(self) -> None:
        self._paused = self._member.assignment()
        self._member.pause(self._paused)

    async def _collect(self) -> None:
        for partition in [partition for partition, task in self._busy.items() if task.done()]:
            self._busy.pop(partition).result()
        for partition in self._paused & self._member.assignment() - self._busy.keys():
            self._member.resume(partition)
            self._paused.discard(partition)

    async def _drop(self, partitions: set[Partition]) -> None:
        tasks = [self._busy.pop(partition) for partition in partitions & self._busy.keys()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _handle_batch(self, partition: Partition, records: list[Record]) -> None:
        """Handle a batch, then dead-letter what failed. Over the limit nothing is written or committed."""
        by_key: dict[bytes | None, list[Record]] = {}
        for record in records:
            by_key.setdefault(record.key, []).append(record)
        causes: dict[int, str] = {}
        with metrics.consumer_seconds.labels(self._group).time():
            async with asyncio.TaskGroup() as group:
                runs = [group.create_task(self._handle_key(run, causes)) for run in by_key.values()]
        for each in runs:
            each.result()  # raises if a library cancelled it, which the task group ignores
        self._dead_letter_count.note([record.offset in causes for record in records])
        for record in records:
            if record.offset in causes:
                await self._dead_letter(record, causes[record.offset])
        self._done[partition] = records[-1].offset + 1

    async def _handle_key(self, run: list[Record], causes: dict[int, str]) -> None:
        async with self._room:
            for record in run:
                try:
                    outcome = await self._handle(record)
                except Exception as error:
                    outcome, causes[record.offset] = "dead_lettered", describe(error)
                metrics.consumer_events.labels(self._group, outcome).inc()

    async def _handle(self, record: Record) -> str:
        event = decode(record.headers, record.value)
        handler = self._handlers.get(event.type)
        if handler is None:
            return "ignored"
        with tracing.span(f"{self._group} {event.type}", event.traceparent, consumes=True):
            await self._until_handled(handler, event)
        return "done"

    async def _until_handled(self, handler: Handler, event: Event) -> None:
        """Call the handler, then retry. The retry loop is entered late: it costs more than most handlers."""
        policy = _RetryPolicy(self._group, self._policy.unexpected_tries)
        try:
            await handler(event)
        except Exception as error:
            if not policy(error):
                raise
        else:
            return
        async for attempt in stamina.retry_context(on=policy, attempts=None, timeout=None, wait_max=10):
            with attempt:
                await handler(event)

    async def _dead_letter(self, record: Record, cause: str) -> None:
        logger.error("dead letter", group=self._group, dead_letter=dead_letter_id(record), cause=cause)
        headers = dead_letter_headers(record, self._group, cause)
        key, value = dead_letter_id(record).encode(), b"" if record.value is None else record.value
        await _until_available(self._dead_letter_producer.send, dead_letter_topic(self._group), key, value, headers)
        metrics.dead_letters.labels(self._group).inc()

    async def ping(self) -> None:
        """A readiness check: a broker answers. Raises `Unavailable`."""
        await kafka.ping(self._settings)

    async def watch(self) -> None:
        """Measure the lag until cancelled: for its gauges and the stall check."""
        while True:
            await asyncio.sleep(self._policy.measure_seconds)
            try:
                await self._measure()
                await self._count_dead_letters()
            except Exception as error:
                logger.warning("lag measurement failed", group=self._group, error=cause_of(error))
                await self._note_unmeasured()

    async def _measure(self) -> None:
        lags = await self._member.lags()
        for partition, (_, lag) in lags.items():
            metrics.consumer_lag.labels(self._group, partition.topic, partition.partition).set(lag)
        waiting = bool(self._busy or self._done) or any(lag for _, lag in lags.values())
        done = [position for position, _ in lags.values()], [id(task) for task in self._busy.values()]
        self.stall.observe(done, waiting)

    async def _note_unmeasured(self) -> None:
        """Keep the last measurement without a broker. If a broker answers a ping, our client has stalled."""
        with suppress(Unavailable):
            await kafka.ping(self._settings)
            self.stall.observe("a client that does not answer", waiting=True)

    async def _count_dead_letters(self) -> None:
        """Count the open dead letters, only if their topic has grown."""
        end = await self._member.end(Partition(dead_letter_topic(self._group), 0))
        if end != self._dead_letters_end:
            count = len(await dead_letters(self._settings, self._group))
            metrics.dead_letters_open.labels(self._group).set(count)
            self._dead_letters_end = end


async def _until_available(call: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs) -> None:
    """Retry the call until Kafka is available; cancelled when the partition is revoked."""
    async for attempt in stamina.retry_context(on=Unavailable, attempts=None, timeout=None, wait_max=5):
        with attempt:
            await call(*args, **kwargs)


@dataclass
class _RetryPolicy:
    """Retries transient errors without limit, permanent ones never, unexpected ones `unexpected_tries` times."""

    group: str
    unexpected_tries: int
    tries: int = 0

    def __call__(self, error: BaseException) -> bool:
        if not isinstance(error, Exception):
            return False  # cancelled: the partition was revoked
        if isinstance(error, Unavailable):
            metrics.consumer_retries.labels(self.group).inc()
            return True
        self.tries += 1
        return not isinstance(error, Reject | ValidationError) and self.tries < self.unexpected_tries


def describe(error: Exception) -> str:
    """The cause for the dead letter's header: the error and its place, never the value."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        return f"{error.title}: {'.'.join(map(str, first['loc']))}: {first['type']}"
    return f"{type(error).__name__}: {error}" if isinstance(error, Reject) else type(error).__name__
