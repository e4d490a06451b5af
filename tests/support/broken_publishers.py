"""Broken publishers: each one commits events and position in a way that the checker must notice."""

from collections.abc import AsyncGenerator, Iterable

from kit.core.events import Outgoing
from kit.kafka import TransactionalProducer
from kit.messaging.feed import Batch, Feed, Position
from tests.support.names import own_name


class PositionFirst(TransactionalProducer):
    """Stores the position, then the events, and crashes once in between."""

    has_died = False

    async def commit(self, records: Iterable[Outgoing], count: int, position: str) -> None:
        batch = list(records)
        await super().commit([], count, position)
        if batch and not type(self).has_died:
            type(self).has_died = True
            raise RuntimeError("died between the two steps")
        await super().commit(batch, count, position)


class SkipsABatch(TransactionalProducer):
    """Moves the position past the first batch without publishing it."""

    has_skipped = False

    async def commit(self, records: Iterable[Outgoing], count: int, position: str) -> None:
        batch = list(records)
        if batch and not type(self).has_skipped:
            type(self).has_skipped, batch = True, []
        await super().commit(batch, count, position)


class RepeatsABatch(TransactionalProducer):
    """Publishes every batch twice."""

    async def commit(self, records: Iterable[Outgoing], count: int, position: str) -> None:
        batch = list(records)
        await super().commit([*batch, *batch], count, position)


class Reorders(TransactionalProducer):
    """Publishes a batch in reverse order."""

    async def commit(self, records: Iterable[Outgoing], count: int, position: str) -> None:
        await super().commit(reversed(list(records)), count, position)


class Invents(TransactionalProducer):
    """Publishes a version that was never written."""

    async def commit(self, records: Iterable[Outgoing], count: int, position: str) -> None:
        batch = list(records)
        ahead = [record._replace(headers=[*map(_next_version, record.headers)]) for record in batch[-1:]]
        await super().commit([*batch, *ahead], count, position)


def _next_version(header: tuple[str, bytes]) -> tuple[str, bytes]:
    name, value = header
    return (name, b"%d" % (int(value) + 1_000)) if name == "ce_sequence" else header


class ChangesKey(TransactionalProducer):
    """Publishes each version under a key of its own."""

    async def commit(self, records: Iterable[Outgoing], count: int, position: str) -> None:
        own = [record._replace(key=dict(record.headers)["ce_id"]) for record in records]
        await super().commit(own, count, position)


class MovesPerson(TransactionalProducer):
    """Publishes later versions in the partition of another person, as if the document's owner had changed."""

    async def commit(self, records: Iterable[Outgoing], count: int, position: str) -> None:
        own = [_moved(record) if _is_later(record) else record for record in records]
        await super().commit(own, count, position)


class LosesTombstones(TransactionalProducer):
    """Does not publish that a document was removed."""

    async def commit(self, records: Iterable[Outgoing], count: int, position: str) -> None:
        await super().commit([record for record in records if record.value is not None], count, position)


class Unfenced(TransactionalProducer):
    """Has a transactional id of its own, so that it does not fence the leader before it, and no later one fences it."""

    async def start(self) -> None:
        manager = self._producer._txn_manager
        manager.transactional_id = own_name(manager.transactional_id)
        await super().start()


class LooksUp(Feed):
    """Reads the current document for each change, as `fullDocument: updateLookup` does."""

    async def batches(self, position: Position) -> AsyncGenerator[Batch, None]:
        async for batch in super().batches(position):
            current = [(name, await self._current(name, document)) for name, document in batch.documents]
            yield Batch(current, batch.position)

    async def _current(self, name: str, document: dict[str, object]) -> dict[str, object]:
        found = await self._database[name].find_one({"_id": document["_id"]}, {"history": False})
        return found or document


def _moved(record: Outgoing) -> Outgoing:
    return record._replace(partition=(record.partition or 2) - 1)


def _is_later(record: Outgoing) -> bool:
    return int(dict(record.headers)["ce_sequence"]) > 1
