"""Broken publishers: each one commits events and position in a way that the checker must notice."""

from collections.abc import Iterable

from kit.core.events import Outgoing
from kit.kafka import TransactionalProducer


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
