"""The change feed: pages of events after a cursor, from memory or from Kafka; waits for the next event."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime

from kit.core.errors import AppError, InvalidFields, TooManyRequests, Unavailable
from kit.kafka import OffsetGone
from kit.security.tokens import Caller
from services.subscriptions import metrics
from services.subscriptions.domain import SCOPE
from services.subscriptions.feed.domain import BadCursor, ForeignCursor, read_cursor, write_cursor
from services.subscriptions.feed.recent_events import RecentEvents
from services.subscriptions.feed_events import FeedEvent, parse_event
from services.subscriptions.readers import KafkaReaders

READ_MS = 500
READ_SECONDS = 8.0  # without an answer for so long Kafka counts as unavailable
RETRY_SECONDS = 1


class CursorExpired(AppError):
    """The cursor's position is not in the topic: it was recreated, or its beginning was deleted."""

    def __init__(self) -> None:
        super().__init__(
            410, "cursor_expired", "该位置的变更已不再保存，请用 since 指定起始时间，或不带 after 从头开始读取"
        )


@dataclass(frozen=True)
class FeedQuery:
    """A request: events after a cursor, else since a time, else from the beginning; `wait` in seconds."""

    after: str | None
    since: datetime | None
    limit: int
    wait: float


class Feed:
    """Answers requests to the change feed; `polls`: concurrent requests of one client at most."""

    def __init__(self, recent: RecentEvents, readers: KafkaReaders, partitions: int, polls: int) -> None:
        self._recent = recent
        self._readers = readers
        self._partitions = partitions
        self._polls = polls
        self._in_progress: Counter[str] = Counter()

    async def changes(self, caller: Caller, query: FeedQuery) -> tuple[list[FeedEvent], str]:
        """The next events, none if none came within `wait`, and the cursor after them.

        Raises 403, 422 `cursor_invalid`, 410 `cursor_expired`, 429, `Unavailable`.
        """
        caller.require(scope=SCOPE)
        with self._slot(caller.subject):
            try:
                found, offsets = await self._wait(query)
            except OffsetGone as error:
                raise CursorExpired from error
        metrics.feed_events.inc(len(found))
        return found, write_cursor([offsets[partition] for partition in range(self._partitions)])

    @contextmanager
    def _slot(self, client: str) -> Iterator[None]:
        if self._in_progress[client] >= self._polls:
            raise TooManyRequests(RETRY_SECONDS, "同时进行的读取请求过多")
        self._in_progress[client] += 1
        metrics.feed_polls.inc()
        try:
            yield
        finally:
            metrics.feed_polls.dec()
            self._in_progress[client] -= 1

    async def _wait(self, query: FeedQuery) -> tuple[list[FeedEvent], dict[int, int]]:
        clock = asyncio.get_running_loop().time
        until = clock() + query.wait
        offsets = await self._start(query)
        while True:
            found, offsets = await self._next(offsets, query.limit)
            left = until - clock()
            if found or self._recent.closing or (left <= 0 and self._recent.live):
                return found, offsets
            if left <= 0:
                raise Unavailable("Kafka")
            await self._recent.wait_for_event(left)

    async def _start(self, query: FeedQuery) -> dict[int, int]:
        if query.after is not None:
            return await self._checked(self._read(query.after))
        async with _in_time(), self._readers.borrow() as reader:
            return await (reader.since(query.since) if query.since else reader.begins())

    def _read(self, cursor: str) -> dict[int, int]:
        try:
            return dict(enumerate(read_cursor(cursor, self._partitions)))
        except BadCursor as error:
            raise InvalidFields.one("after", "cursor_invalid", "读取位置无效，请使用上次返回的 next_cursor") from error
        except ForeignCursor as error:
            raise CursorExpired from error

    async def _checked(self, offsets: dict[int, int]) -> dict[int, int]:
        """Refuse offsets beyond the end of the topic; another process may have read further than this one."""
        if self._recent.live and any(offset > self._recent.reached[partition] for partition, offset in offsets.items()):
            async with _in_time(), self._readers.borrow() as reader:
                ends = await reader.ends()
            if any(offset > ends[partition] for partition, offset in offsets.items()):
                raise CursorExpired
        return offsets

    async def _next(self, offsets: dict[int, int], limit: int) -> tuple[list[FeedEvent], dict[int, int]]:
        """The events available now; none while the topic is not being read."""
        if not self._recent.live:
            return [], offsets
        if self._recent.covers(offsets):
            return self._recent.events_after(offsets, limit)
        metrics.feed_kafka_reads.inc()
        async with _in_time():
            return await self._catch_up(offsets, limit)

    async def _catch_up(self, offsets: dict[int, int], limit: int) -> tuple[list[FeedEvent], dict[int, int]]:
        """Events from Kafka, of the partitions whose offsets are older than memory."""
        found: list[FeedEvent] = []
        while not found and self._recent.live and (missing := self._recent.older_than_memory(offsets)):
            found, reached = await self._from_kafka(missing, limit)
            offsets = {**offsets, **reached}
        return found, offsets

    async def _from_kafka(self, offsets: Mapping[int, int], limit: int) -> tuple[list[FeedEvent], dict[int, int]]:
        async with self._readers.borrow(offsets) as reader:
            chunk = await reader.read(offsets, READ_MS, limit)
        return [event for event in map(parse_event, chunk.records) if event], chunk.reached


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(READ_SECONDS):
            yield
    except TimeoutError as error:
        raise Unavailable("Kafka") from error
