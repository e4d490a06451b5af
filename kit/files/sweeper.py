"""The sweeper: finds what a crash left between bucket and documents, in one part of the bucket after the other."""

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
    """A document that names files: all of its folder are its own, `original` is one that must be there."""

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


InFolders = Callable[[str, int], Awaitable[Sequence[Named]]]
"""The documents whose folder begins like this, at most so many."""


@dataclass(frozen=True)
class SweeperPolicy:
    """One part of the bucket after the other, with a pause: all of them within a day.

    A part's name has so many hexadecimal `digits`; `grace`: how old a file or document is before it is checked;
    `most`: documents in a part.
    """

    digits: int = 3
    pause_seconds: float = 20.0
    grace: timedelta = timedelta(days=1)
    most: int = 50_000


class Sweeper:
    """Removes orphaned objects; logs documents whose object is missing, for an operator to investigate.

    Those are not refused here: a bucket that was restored from an old copy would refuse half a city's scans.
    """

    def __init__(
        self, root: str, in_folders: InFolders, bucket: Bucket, clock: Clock, policy: SweeperPolicy = SweeperPolicy()
    ) -> None:
        self._root = root
        self._in_folders = in_folders
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
        """Compare the files of one part with its documents. Files first: a document is younger than its file."""
        before = self._clock.now() - self._policy.grace
        files = await self._bucket.older(part, before)
        named = await self._in_folders(part, self._policy.most)
        if len(named) == self._policy.most:
            raise RuntimeError(f"{part} has too many documents to compare: there must be more parts")
        self._tell_missing([one for one in named if one.updated_at < before and one.original not in files])
        folders = {one.folder for one in named}
        for key in [key for key, old in files.items() if old and key.rpartition("/")[0] not in folders]:
            logger.warning("orphaned object removed", object=key)
            await self._bucket.delete(key)

    def _tell_missing(self, missing: Sequence[Named]) -> None:
        for one in missing:
            logger.error("object missing", object=one.original)
