"""Divides work among several workers, by Kafka's group assignment (as publishers choose their leader)."""

import zlib
from collections.abc import Awaitable, Callable

from kit.kafka import Consumer, Partition
from kit.observability import log
from kit.settings import KafkaSettings

logger = log.get(__name__)


class WorkAssignment:
    """The share of this process: partitions of the topic `name`, to which nothing is ever written.

    `release` ends the work in progress; after it has returned, other workers may start it.
    """

    def __init__(
        self, name: str, settings: KafkaSettings, instance: str, release: Callable[[], Awaitable[None]]
    ) -> None:
        self._name = name
        self._settings = settings
        self._instance = instance
        self._release = release
        self._mine: set[int] = set()

    def mine(self, what: str) -> bool:
        """Whether `what` (an id) is assigned to this process."""
        return zlib.crc32(what.encode()) % self._settings.partitions in self._mine

    async def run(self) -> None:
        """Be a member of the group until cancelled. Raises `Unavailable`."""
        member = Consumer(self._settings, self._name, self._instance, empty=True)
        try:
            await member.start([self._name], self)
            while True:
                await member.poll([], 1_000, 1)  # there are never records; the call keeps the membership alive
        finally:
            await self.revoked(set())
            await member.close()

    async def assigned(self, partitions: set[Partition]) -> None:
        """Take the new partitions."""
        self._mine = {partition.partition for partition in partitions}
        logger.info("work assigned", name=self._name, shares=len(self._mine))

    async def revoked(self, partitions: set[Partition]) -> None:
        """Give up all partitions: Kafka reassigns them."""
        self._mine = set()
        await self._release()
