"""The feed: a database's new versions in the order they were written, from a stored position.

Without a position, or with one that has left the oplog, it begins with a snapshot: the current version of every
document.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from kit.core.documents import field_of
from kit.mongo import (
    Backlog,
    Changes,
    ChangeStream,
    ClusterTime,
    Database,
    PositionGone,
    backlog,
    cluster_time,
    page,
    position_from_json,
    position_to_json,
    token_time,
)
from kit.observability import log, metrics

T = TypeVar("T")
BATCH = 500
logger = log.get(__name__)


@dataclass(frozen=True)
class Position:
    """The published position: a running count, and the resume token or the state of a snapshot."""

    count: int
    token: Mapping[str, object] | None = None
    snapshot: Mapping[str, object] | None = None  # {time, collection, after}

    @classmethod
    def read(cls, count: int, text: str) -> "Position":
        """Parse `text`; from an empty or invalid one a snapshot follows."""
        try:
            stored = position_from_json(text)
            return cls(count, _resume_token(stored.get("token")), _snapshot_state(stored.get("snapshot")))
        except (ValueError, TypeError, AttributeError, LookupError):
            return cls(count)

    def text(self) -> str:
        """As stored in the group's offset metadata."""
        return position_to_json({"token": self.token} if self.token else {"snapshot": self.snapshot})


def _resume_token(stored: object) -> Mapping[str, object] | None:
    if stored is None:
        return None
    if not isinstance(stored, dict):
        raise TypeError("not a resume token")
    token_time(stored)  # raises if it is invalid
    return stored


def _snapshot_state(stored: object) -> Mapping[str, object] | None:
    if stored is None:
        return None
    if not (isinstance(stored, dict) and isinstance(stored["time"], ClusterTime) and "after" in stored):
        raise ValueError("not the state of a snapshot")
    return stored


@dataclass(frozen=True)
class Batch:
    """Documents as (collection, document), and the position after them."""

    documents: list[tuple[str, dict[str, object]]]
    position: Position


class Feed:
    """Reads the named collections of a service's database."""

    def __init__(self, service: str, database: Database, collections: Sequence[str]) -> None:
        self._service = service
        self._database = database
        self._collections = list(collections)

    async def batches(self, position: Position) -> AsyncGenerator[Batch, None]:
        """Everything after `position`, without end; empty batches move an idle database's position."""
        if position.token is None and (position.snapshot or {}).get("collection") not in self._collections:
            position = await self._begin_snapshot(position.count)
        while True:
            try:
                async for batch in self._snapshot(position) if position.snapshot else self._tail(position):
                    position = batch.position
                    yield batch
            except PositionGone as error:
                logger.error("position older than the oplog, publishing a snapshot", error=str(error))
                position = await self._begin_snapshot(position.count)

    async def _begin_snapshot(self, count: int) -> Position:
        metrics.publisher_snapshots.labels(self._service).inc()
        first = self._collections[0]
        return Position(
            count, snapshot={"time": await cluster_time(self._database), "collection": first, "after": None}
        )

    async def _snapshot(self, position: Position) -> AsyncGenerator[Batch, None]:
        state = dict(position.snapshot or {})
        since = field_of(state, "time", ClusterTime)
        for collection in self._collections[self._collections.index(field_of(state, "collection", str)) :]:
            after = state["after"] if collection == state["collection"] else None
            while documents := await page(self._database, collection, after, BATCH, since):
                after = documents[-1]["_id"]
                state |= {"collection": collection, "after": after}
                position = Position(position.count + len(documents), snapshot=dict(state))
                yield Batch([(collection, document) for document in documents], position)
        stream = ChangeStream(self._database, self._collections, BATCH)
        await stream.open(time=since)
        try:
            yield Batch(*_advance(position, await stream.next()))
        finally:
            await stream.close()

    async def _tail(self, position: Position) -> AsyncGenerator[Batch, None]:
        stream = ChangeStream(self._database, self._collections, BATCH)
        await stream.open(token=position.token)
        try:
            while True:
                changes = await stream.next()
                documents, position = _advance(position, changes)
                yield Batch(documents, position)
        finally:
            await stream.close()


def _advance(position: Position, changes: Changes) -> tuple[list[tuple[str, dict[str, object]]], Position]:
    count = position.count + len(changes.documents)
    return changes.documents, replace(position, count=count, token=changes.token, snapshot=None)


async def prefetch(feed: AsyncGenerator[T, None], full: Callable[[T], bool]) -> AsyncGenerator[T, None]:
    """The same items; after a full one the next one is prefetched.

    After one that is not full it is not: fetched too early the next one would be small.
    """
    following: asyncio.Future[T] | None = None
    try:
        while True:
            item = await (following or anext(feed))
            following = asyncio.ensure_future(anext(feed)) if full(item) else None
            yield item
    finally:
        if following is not None:
            following.cancel()
            await asyncio.wait([following])
        await feed.aclose()


async def backlog_after(database: Database, collections: Sequence[str], position: Position) -> Backlog:
    """The changes in the oplog after the position; during a snapshot unknown, returned as none."""
    if position.token is None:
        return Backlog(0, None)
    return await backlog(database, collections, token_time(position.token))
