"""The feed of changes: pages behind a cursor, from memory or else from Kafka, and waiting for the next one."""

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
from services.subscriptions.changes import Change, read
from services.subscriptions.domain import SCOPE
from services.subscriptions.feed.domain import BadCursor, ForeignCursor, read_cursor, write_cursor
from services.subscriptions.feed.tail import Tail
from services.subscriptions.readers import KafkaReaders

READ_MS = 500
READ_SECONDS = 8.0  # without an answer Kafka counts as away
RETRY_SECONDS = 1


class CursorExpired(AppError):
    """The topic does not reach back to there: it was made anew, or its beginning was deleted."""

    def __init__(self) -> None:
        super().__init__(
            410, "cursor_expired", "该位置的变更已不再保存，请用 since 指定起始时间，或不带 after 从头开始读取"
        )


@dataclass(frozen=True)
class FeedQuery:
    """What a request asks for: behind a cursor, or from a time on, or from the beginning; `wait` in seconds."""

    after: str | None
    since: datetime | None
    limit: int
    wait: float


class Feed:
    """Answers requests for changes."""

    def __init__(self, tail: Tail, readers: KafkaReaders, partitions: int, polls: int) -> None:
        self._tail, self._readers, self._partitions, self._polls = tail, readers, partitions, polls
        self._busy: Counter[str] = Counter()

    async def changes(self, caller: Caller, wanted: FeedQuery) -> tuple[list[Change], str]:
        """The next changes, none when there was none within `wait`, and the cursor behind them.

        Raises 403, 422 `cursor_invalid`, 410 `cursor_expired`, 429, `Unavailable` when Kafka is away.
        """
        caller.require(scope=SCOPE)
        with self._turn(caller.subject):
            try:
                found, offsets = await self._wait(wanted)
            except OffsetGone as error:
                raise CursorExpired from error
        metrics.feed_events.inc(len(found))
        return found, write_cursor([offsets[partition] for partition in range(self._partitions)])

    @contextmanager
    def _turn(self, client: str) -> Iterator[None]:
        if self._busy[client] >= self._polls:
            raise TooManyRequests(RETRY_SECONDS, "同时进行的读取请求过多")
        self._busy[client] += 1
        metrics.feed_polls.inc()
        try:
            yield
        finally:
            metrics.feed_polls.dec()
            self._busy[client] -= 1

    async def _wait(self, wanted: FeedQuery) -> tuple[list[Change], dict[int, int]]:
        clock = asyncio.get_running_loop().time
        until = clock() + wanted.wait
        offsets = await self._start(wanted)
        while True:
            found, offsets = await self._next(offsets, wanted.limit)
            left = until - clock()
            if found or self._tail.closing or (left <= 0 and self._tail.live):
                return found, offsets
            if left <= 0:
                raise Unavailable("Kafka")
            await self._tail.news(left)

    async def _start(self, wanted: FeedQuery) -> dict[int, int]:
        if wanted.after is not None:
            return await self._checked(self._read(wanted.after))
        async with _in_time(), self._readers.one() as reader:
            return await (reader.since(wanted.since) if wanted.since else reader.begins())

    def _read(self, cursor: str) -> dict[int, int]:
        try:
            return dict(enumerate(read_cursor(cursor, self._partitions)))
        except BadCursor as error:
            raise InvalidFields.one("after", "cursor_invalid", "读取位置无效，请使用上次返回的 next_cursor") from error
        except ForeignCursor as error:
            raise CursorExpired from error

    async def _checked(self, offsets: dict[int, int]) -> dict[int, int]:
        """A place beyond what is known here: another process may be ahead a moment; beyond the end nothing ever was."""
        if self._tail.live and any(offset > self._tail.reached[partition] for partition, offset in offsets.items()):
            async with _in_time(), self._readers.one() as reader:
                ends = await reader.ends()
            if any(offset > ends[partition] for partition, offset in offsets.items()):
                raise CursorExpired
        return offsets

    async def _next(self, offsets: dict[int, int], most: int) -> tuple[list[Change], dict[int, int]]:
        """What there is now; nothing while the tail has lost its topic: that passes, or the wait does."""
        if not self._tail.live:
            return [], offsets
        if self._tail.holds(offsets):
            return self._tail.take(offsets, most)
        metrics.feed_kafka_reads.inc()
        async with _in_time():
            return await self._catch_up(offsets, most)

    async def _catch_up(self, offsets: dict[int, int], most: int) -> tuple[list[Change], dict[int, int]]:
        """From Kafka, of those partitions that memory does not reach back for; until there is something."""
        found: list[Change] = []
        while not found and self._tail.live and (behind := self._tail.behind(offsets)):
            found, reached = await self._from_kafka(behind, most)
            offsets = {**offsets, **reached}
        return found, offsets

    async def _from_kafka(self, offsets: Mapping[int, int], most: int) -> tuple[list[Change], dict[int, int]]:
        async with self._readers.one(offsets) as reader:
            chunk = await reader.read(offsets, READ_MS, most)
        return [change for change in map(read, chunk.records) if change], chunk.reached


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(READ_SECONDS):
            yield
    except TimeoutError as error:
        raise Unavailable("Kafka") from error
