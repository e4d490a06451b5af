"""A pool of Kafka readers of the topic, for events that are not in memory."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from kit.core.errors import Unavailable
from kit.kafka import Reader
from kit.settings import KafkaSettings

QUEUE_TIMEOUT_SECONDS = 5.0


class KafkaReaders:
    """A pool of at most `size` readers: connected when needed, reused, closed after an error."""

    def __init__(self, settings: KafkaSettings, topic: str, size: int) -> None:
        self._settings = settings
        self._topic = topic
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Reader] = []

    @asynccontextmanager
    async def borrow(self, offsets: Mapping[int, int] | None = None) -> AsyncIterator[Reader]:
        """Borrow a reader, if possible one whose position is `offsets`. Raises `Unavailable` if none gets free."""
        await self._wait_for_slot()
        reader: Reader | None = None
        try:
            reader = await self._take(offsets or {})
            yield reader
        except BaseException:
            if reader is not None:
                await reader.close()
            raise
        else:
            self._idle.append(reader)
        finally:
            self._slots.release()

    async def _wait_for_slot(self) -> None:
        try:
            async with asyncio.timeout(QUEUE_TIMEOUT_SECONDS):
                await self._slots.acquire()
        except TimeoutError as error:
            raise Unavailable("a Kafka reader") from error

    async def _take(self, offsets: Mapping[int, int]) -> Reader:
        if self._idle:
            fitting = next((reader for reader in self._idle if reader.is_at(offsets)), self._idle[0])
            self._idle.remove(fitting)
            return fitting
        reader = Reader(self._settings, self._topic)
        try:
            await reader.start()
        except BaseException:
            await reader.close()
            raise
        return reader

    async def close(self) -> None:
        """Close all idle readers."""
        while self._idle:
            await self._idle.pop().close()
