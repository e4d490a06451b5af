"""The sweeper: removes orphaned objects and reports missing ones, in one part of the bucket after the other."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle
from random import Random
from typing import Protocol

from kit.core.clock import Clock
from kit.files.blobs import Bucket
from kit.observability import log
from kit.runtime.periodic import every

logger = log.get(__name__)


class Named(Protocol):
    """A document with files: all objects in its folder belong to it; `original` must exist."""

    @property
    def folder(self) -> str:
        """`<root>/<random UUID>`."""
        ...

    @property
    def original(self) -> str:
        """A key in the folder."""
        ...

    @property
    def updated_at(self) -> datetime:
        """When the document was written."""
        ...


WithFolderPrefix = Callable[[str, int], Awaitable[Sequence[Named]]]
"""The documents whose folder begins with a prefix, at most `limit`."""


@dataclass(frozen=True)
class SweeperPolicy:
    """The sweeper checks one part of the bucket after each pause, all parts within a day.

    `digits`: the hexadecimal digits of a part's name; `grace`: the least age of files and documents that are checked;
    `most`: documents of a part at most.
    """

    digits: int = 3
    pause_seconds: float = 20.0
    grace: timedelta = timedelta(days=1)
    most: int = 50_000


class Sweeper:
    """Removes orphaned objects; logs documents whose object is missing, for an operator to investigate.

    Their documents are not changed: with a bucket restored from an old copy that would refuse half of a city's scans.
    """

    def __init__(
        self,
        root: str,
        with_folder_prefix: WithFolderPrefix,
        bucket: Bucket,
        clock: Clock,
        policy: SweeperPolicy = SweeperPolicy(),
    ) -> None:
        self._root = root
        self._in_folders = with_folder_prefix
        self._bucket = bucket
        self._clock = clock
        self._policy = policy

    async def run(self) -> None:
        """Sweep until cancelled, from a random part on, so that frequent restarts don't sweep the same parts only."""
        digits, pause = self._policy.digits, self._policy.pause_seconds
        parts = [f"{self._root}/{number:0{digits}x}" for number in range(16**digits)]
        first = Random().randrange(len(parts))  # noqa: S311  # not a secret
        turn = cycle(parts[first:] + parts[:first])
        await asyncio.sleep(pause)
        await every(pause, lambda: self.sweep(next(turn)), "sweep")

    async def sweep(self, part: str) -> None:
        """Compare the files of one part with its documents. Files are listed first: they are written first."""
        before = self._clock.now() - self._policy.grace
        files = await self._bucket.older(part, before)
        named = await self._in_folders(part, self._policy.most)
        if len(named) == self._policy.most:
            raise RuntimeError(f"{part} has too many documents to compare: raise SweeperPolicy.digits")
        self._tell_missing([one for one in named if one.updated_at < before and one.original not in files])
        folders = {one.folder for one in named}
        for key in [key for key, old in files.items() if old and key.rpartition("/")[0] not in folders]:
            logger.warning("orphaned object removed", object=key)
            await self._bucket.delete(key)

    def _tell_missing(self, missing: Sequence[Named]) -> None:
        for one in missing:
            logger.error("object missing", object=one.original)
