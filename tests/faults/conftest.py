"""A run against the stack's records: people who write, a subscriber, and the checker at the end."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from tests.support.checker import Evidence, check
from tests.support.evidence import of_records, versions
from tests.support.load import Load, Log
from tests.support.people import Person
from tests.support.processes import Processes
from tests.support.projection import Kept, consuming, own_projection
from tests.support.stack import RunningStack
from tests.support.subscriber import Subscriber
from tests.support.waiting import eventually

WRITERS = 24
DRAINED_WITHIN = 60


@dataclass
class Run:
    """What a fault test uses."""

    stack: RunningStack
    processes: Processes
    subscriber: Subscriber
    kept: Kept
    people: list[Person]
    log: Log = field(default_factory=Log)

    @property
    def persons(self) -> set[str]:
        return {person.id for person in self.people}

    @property
    def worker(self) -> str:
        return str(self.stack.facts["services"]["records"]["worker"])

    @asynccontextmanager
    async def load(self, rate: float) -> AsyncIterator[Log]:
        async with Load(self.people, rate, self.log).running() as log:
            yield log

    async def settled(self, snapshots: bool = False) -> Evidence:
        """Waits until every write has arrived everywhere and every invariant holds. Prints how long that took."""
        began = time.monotonic()
        evidence = await of_records(self.stack, self.subscriber, self.log, self.persons, DRAINED_WITHIN)
        drained = time.monotonic() - began
        evidence.snapshots = snapshots
        evidence.store = await eventually(lambda: self._kept(evidence.source), 60, "the consumer has caught up")
        written = f"{len(self.log.acknowledged)} writes, {self.log.per_second:.0f}/s"
        print(f"{written}, success {self.log.success:.4%}, drained in {drained:.1f} s")
        assert check(evidence) == []
        assert self.log.unexpected == []
        return evidence

    async def _kept(self, source: object) -> dict[str, int] | None:
        kept = await versions(self.kept.database, "kept", self.persons)
        return kept if kept == source else None


@pytest_asyncio.fixture
async def run(stack: RunningStack, processes: Processes, new_person: Callable[[], Person]) -> AsyncIterator[Run]:
    topic = "records.changes"
    subscriber = Subscriber(stack.kafka, topic)
    await subscriber.skip()
    async with own_projection(stack, [topic], "records.record.changed.v1", from_now=True) as kept, consuming(kept):
        yield Run(stack, processes, subscriber, kept, [new_person() for _ in range(WRITERS)])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test of this folder: they kill or stop real servers."""
    for item in items:
        if "/faults/" in str(item.path):
            item.add_marker("faults")
