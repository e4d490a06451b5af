"""A bounded number of readers of the topic, for whoever needs what is not in memory."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from kit.core.errors import Unavailable
from kit.kafka import Reader
from kit.settings import KafkaSettings

QUEUE_TIMEOUT_SECONDS = 5.0


class KafkaReaders:
    """Connected when they are first needed, kept for the next one; thrown away after an error."""

    def __init__(self, settings: KafkaSettings, topic: str, most: int) -> None:
        self._settings, self._topic = settings, topic
        self._room = asyncio.Semaphore(most)
        self._idle: list[Reader] = []

    @asynccontextmanager
    async def one(self, offsets: Mapping[int, int] | None = None) -> AsyncIterator[Reader]:
        """A reader of one's own; where possible one that stands at `offsets` already. Raises `Unavailable`."""
        await self._turn()
        reader: Reader | None = None
        try:
            reader = await self._ready(offsets or {})
            yield reader
        except BaseException:
            if reader is not None:
                await reader.close()
            raise
        else:
            self._idle.append(reader)
        finally:
            self._room.release()

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(QUEUE_TIMEOUT_SECONDS):
                await self._room.acquire()
        except TimeoutError as error:
            raise Unavailable("a reader") from error

    async def _ready(self, offsets: Mapping[int, int]) -> Reader:
        if self._idle:
            fitting = next((reader for reader in self._idle if reader.stands_at(offsets)), self._idle[0])
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
        """Disconnect them all."""
        while self._idle:
            await self._idle.pop().close()
