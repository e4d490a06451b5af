"""The newest changes in memory, and news of them: one reader of the topic, however many wait."""

import asyncio
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from heapq import merge
from itertools import islice

from kit.kafka import Chunk, Reader
from kit.observability import log
from kit.settings import KafkaSettings
from services.subscriptions.changes import Change, read

READ_MS = 250
BATCH = 1_000
ASK_SECONDS = 1.0
RESTART_SECONDS = 1.0
SILENT_SECONDS = 8.0
logger = log.get(__name__)


class Tail:
    """Follows the topic from its end on. Any error ends following, and after a pause it starts over at the end."""

    def __init__(self, settings: KafkaSettings, topic: str, most_bytes: int) -> None:
        self._settings, self._topic, self._most_bytes = settings, topic, most_bytes
        self._kept: dict[int, list[Change]] = {}
        self._bytes = 0
        self._news = asyncio.Event()
        self.floor: dict[int, int] = {}  # from these offsets on every change is here …
        self.reached: dict[int, int] = {}  # … up to these
        self._following, self._heard = False, 0.0
        self.closing = False

    async def run(self) -> None:
        """Follow until cancelled."""
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
            self._tell()

    @property
    def live(self) -> bool:
        """Whether Kafka answered lately: a broker that is away looks like a topic to which nothing is written."""
        return self._following and asyncio.get_running_loop().time() - self._heard < SILENT_SECONDS

    async def check(self) -> None:
        """A readiness check: Kafka is there."""
        if not self.live:
            raise RuntimeError("the topic is not followed")

    async def news(self, within: float) -> None:
        """Return when something has come (or the tail lost its topic), after `within` seconds at the latest."""
        told = self._news
        try:
            async with asyncio.timeout(within):
                await told.wait()
        except TimeoutError:
            return

    def holds(self, offsets: Mapping[int, int]) -> bool:
        """Whether every change from these offsets on is here."""
        return self.live and all(offset >= self.floor[partition] for partition, offset in offsets.items())

    def behind(self, offsets: Mapping[int, int]) -> dict[int, int]:
        """The partitions of which earlier changes are wanted than are here."""
        return {partition: offset for partition, offset in offsets.items() if offset < self.floor[partition]}

    def take(self, offsets: Mapping[int, int], most: int) -> tuple[list[Change], dict[int, int]]:
        """Changes from there on, each partition in its order, together about in that of time; and where to go on."""
        runs = [_from(self._kept.get(partition, []), offset, most) for partition, offset in offsets.items()]
        found = list(islice(merge(*runs, key=_at), most))
        reached = dict(offsets)
        if len(found) < most:  # that is all there is: markers of transactions are passed too
            reached = {partition: max(offset, self.reached[partition]) for partition, offset in offsets.items()}
        reached |= {
            change.partition: change.offset + 1 for change in found if change.offset >= reached[change.partition]
        }
        return found, reached

    async def _follow(self) -> None:
        reader = Reader(self._settings, self._topic)
        try:
            await reader.start()
            self._begin(await reader.ends())
            await self._keep(reader)
        finally:
            self._following = False
            self._tell()
            await reader.close()

    async def _keep(self, reader: Reader) -> None:
        clock = asyncio.get_running_loop().time
        asked = clock()
        while True:
            self._add(await reader.read(self.reached, READ_MS, BATCH))
            if clock() - asked > ASK_SECONDS:  # reading alone never tells that the broker is away
                await reader.ends()
                asked = self._heard = clock()

    def _begin(self, ends: dict[int, int]) -> None:
        self._kept, self._bytes = {partition: [] for partition in ends}, 0
        self.floor, self.reached = dict(ends), dict(ends)
        self._following, self._heard = True, asyncio.get_running_loop().time()
        self._tell()

    def _add(self, chunk: Chunk) -> None:
        for change in filter(None, map(read, chunk.records)):
            self._kept[change.partition].append(change)
            self._bytes += len(change.body)
        self.reached = chunk.reached
        if self._bytes > self._most_bytes:
            self._halve()
        if chunk.records:
            self._tell()

    def _halve(self) -> None:
        """Forget the older half of each partition: seldom, and at little cost for each event."""
        for partition, kept in self._kept.items():
            half = (len(kept) + 1) // 2
            if half:
                self.floor[partition] = kept[half - 1].offset + 1
                self._bytes -= sum(len(change.body) for change in kept[:half])
                del kept[:half]

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _from(kept: list[Change], offset: int, most: int) -> Iterator[Change]:
    first = bisect_left(kept, offset, key=_offset)
    return islice(kept, first, first + most)


def _offset(change: Change) -> int:
    return change.offset


def _at(change: Change) -> int:
    return change.at
