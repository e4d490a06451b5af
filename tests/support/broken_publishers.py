"""Publishers that are wrong on purpose: each one commits events and position in a way that the checker must notice."""

from collections.abc import Iterable

from kit.core.events import Outgoing
from kit.kafka import TransactionalProducer


class PositionFirst(TransactionalProducer):
    """Stores the position, then the events, and once dies in between."""

    has_died = False

    async def commit(self, records: Iterable[Outgoing], count: int, position: str) -> None:
        told = list(records)
        await super().commit([], count, position)
        if told and not type(self).has_died:
            type(self).has_died = True
            raise RuntimeError("died between the two steps")
        await super().commit(told, count, position)


class SkipsABatch(TransactionalProducer):
    """Moves the position past the first batch without telling it."""

    has_skipped = False

    async def commit(self, records: Iterable[Outgoing], count: int, position: str) -> None:
        told = list(records)
        if told and not type(self).has_skipped:
            type(self).has_skipped, told = True, []
        await super().commit(told, count, position)


class RepeatsABatch(TransactionalProducer):
    """Tells every batch twice."""

    async def commit(self, records: Iterable[Outgoing], count: int, position: str) -> None:
        told = list(records)
        await super().commit([*told, *told], count, position)


class Reorders(TransactionalProducer):
    """Tells a batch from its end to its beginning."""

    async def commit(self, records: Iterable[Outgoing], count: int, position: str) -> None:
        await super().commit(reversed(list(records)), count, position)


class Invents(TransactionalProducer):
    """Tells a version that was never written."""

    async def commit(self, records: Iterable[Outgoing], count: int, position: str) -> None:
        told = list(records)
        ahead = [record._replace(headers=[*map(_next_version, record.headers)]) for record in told[-1:]]
        await super().commit([*told, *ahead], count, position)


def _next_version(header: tuple[str, bytes]) -> tuple[str, bytes]:
    name, value = header
    return (name, b"%d" % (int(value) + 1_000)) if name == "ce_sequence" else header
