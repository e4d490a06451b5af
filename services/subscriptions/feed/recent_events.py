"""The newest events of the topic in memory: one reader of the topic for all waiting requests."""

import asyncio
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from heapq import merge
from itertools import islice

from kit.kafka import Chunk, Reader
from kit.observability import log
from kit.settings import KafkaSettings
from services.subscriptions.feed_events import FeedEvent, parse_event

READ_MS = 250
BATCH = 1_000
PROBE_SECONDS = 1.0
RESTART_SECONDS = 1.0
SILENT_SECONDS = 8.0
logger = log.get(__name__)


class RecentEvents:
    """Reads the topic from its end on, keeping `max_bytes` of events; after an error it restarts at the end."""

    def __init__(self, settings: KafkaSettings, topic: str, max_bytes: int) -> None:
        self._settings = settings
        self._topic = topic
        self._max_bytes = max_bytes
        self._events: dict[int, list[FeedEvent]] = {}
        self._bytes = 0
        self._changed = asyncio.Event()
        self.floor: dict[int, int] = {}  # by partition: memory has all events from this offset …
        self.reached: dict[int, int] = {}  # … up to this one
        self._reading = False
        self._answered_at = 0.0
        self.closing = False

    async def run(self) -> None:
        """Read the topic until cancelled."""
        try:
            while True:
                try:
                    await self._follow()
                except Exception as error:
                    logger.warning("topic reader failed, restarting", error=repr(error))
                await asyncio.sleep(RESTART_SECONDS)
        finally:
            logger.info("topic reader stopped")
            self.closing = True
            self._wake()

    @property
    def live(self) -> bool:
        """Whether Kafka answered recently; a read that returns nothing does not show that the broker is available."""
        return self._reading and asyncio.get_running_loop().time() - self._answered_at < SILENT_SECONDS

    async def check(self) -> None:
        """A readiness check: the topic is being read."""
        if not self.live:
            raise RuntimeError("the topic is not being read")

    async def wait_for_event(self, timeout: float) -> None:
        """Wait until an event came or reading was interrupted, for `timeout` seconds at most."""
        changed = self._changed
        try:
            async with asyncio.timeout(timeout):
                await changed.wait()
        except TimeoutError:
            return

    def covers(self, offsets: Mapping[int, int]) -> bool:
        """Whether memory has all events from these offsets on."""
        return self.live and all(offset >= self.floor[partition] for partition, offset in offsets.items())

    def older_than_memory(self, offsets: Mapping[int, int]) -> dict[int, int]:
        """The partitions and offsets whose next events are not in memory any more."""
        return {partition: offset for partition, offset in offsets.items() if offset < self.floor[partition]}

    def events_after(self, offsets: Mapping[int, int], limit: int) -> tuple[list[FeedEvent], dict[int, int]]:
        """At most `limit` events from these offsets on, and the offsets after them.

        Events are in order within a partition, and about in order of time between partitions.
        """
        runs = [_from(self._events.get(partition, []), offset, limit) for partition, offset in offsets.items()]
        found = list(islice(merge(*runs, key=_at), limit))
        reached = dict(offsets)
        if len(found) < limit:  # all events were found: also skip transaction markers, which are not events
            reached = {partition: max(offset, self.reached[partition]) for partition, offset in offsets.items()}
        reached |= {event.partition: event.offset + 1 for event in found if event.offset >= reached[event.partition]}
        return found, reached

    async def _follow(self) -> None:
        reader = Reader(self._settings, self._topic)
        try:
            await reader.start()
            self._reset(await reader.ends())
            await self._read(reader)
        finally:
            self._reading = False
            self._wake()
            await reader.close()

    async def _read(self, reader: Reader) -> None:
        clock = asyncio.get_running_loop().time
        probed_at = clock()
        while True:
            self._add(await reader.read(self.reached, READ_MS, BATCH))
            if clock() - probed_at > PROBE_SECONDS:  # a read returns nothing if the broker is unavailable; this raises
                await reader.ends()
                probed_at = self._answered_at = clock()

    def _reset(self, ends: dict[int, int]) -> None:
        self._events = {partition: [] for partition in ends}
        self._bytes = 0
        self.floor = dict(ends)
        self.reached = dict(ends)
        self._reading = True
        self._answered_at = asyncio.get_running_loop().time()
        self._wake()

    def _add(self, chunk: Chunk) -> None:
        for event in filter(None, map(parse_event, chunk.records)):
            self._events[event.partition].append(event)
            self._bytes += len(event.body)
        self.reached = chunk.reached
        if self._bytes > self._max_bytes:
            self._drop_older_half()
        if chunk.records:
            self._wake()

    def _drop_older_half(self) -> None:
        """Drop the older half of each partition: rarely, so at little cost per event."""
        for partition, events in self._events.items():
            half = (len(events) + 1) // 2
            if half:
                self.floor[partition] = events[half - 1].offset + 1
                self._bytes -= sum(len(event.body) for event in events[:half])
                del events[:half]

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _from(events: list[FeedEvent], offset: int, limit: int) -> Iterator[FeedEvent]:
    first = bisect_left(events, offset, key=_offset)
    return islice(events, first, first + limit)


def _offset(event: FeedEvent) -> int:
    return event.offset


def _at(event: FeedEvent) -> int:
    return event.at
