"""The checker itself: it finds each defect of a broken publisher, names the violated invariant, has no false alarm."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import pytest

from kit.core.events import Outgoing
from kit.kafka import TransactionalProducer
from tests.support import broken_publishers as broken
from tests.support.checker import Evidence, Seen, invariants
from tests.support.evidence import seen_in, versions
from tests.support.subscriber import headers_of
from tests.support.things import Things, running
from tests.support.waiting import eventually

pytestmark = pytest.mark.faults

PEOPLE = [f"person-{number}" for number in range(4)]


async def run_of(things: Things, producer: type[TransactionalProducer] = TransactionalProducer) -> Evidence:
    """The publisher tails the collection; people write three versions of each thing; then everything is drained."""
    async with running(partial(things.publisher, producer=producer)):
        await things.write(1, PEOPLE[0])
        await eventually(things.tails, 20, "the publisher tails the stream")
        await things.subscriber.skip()
        for person in PEOPLE[1:]:
            for thing in await things.write(5, person):
                for text in ("second", "third"):
                    thing = await things.rewrite(thing, text)
        (end,) = await things.write(1, "the end")
        await things.subscriber.until(lambda found: any(ends(record, end.id) for record in found), 20, "it is drained")
    source = await versions(things.database, "things", PEOPLE[1:])
    acknowledged = {(identity, number) for identity in source for number in (1, 2, 3)}
    return Evidence(acknowledged, set(), source, seen_in(things.subscriber.records, PEOPLE[1:]))


def ends(record: object, identity: str) -> bool:
    return headers_of(record)["ce_subject"] == identity


async def test_no_alarm_on_a_healthy_run(things: Things) -> None:
    run = await run_of(things)
    assert len(run.topic) == 45
    assert invariants(run) == set()


@pytest.mark.parametrize(
    ("producer", "invariant"),
    [
        (broken.PositionFirst, "I2"),
        (broken.SkipsABatch, "I2"),
        (broken.RepeatsABatch, "I7"),
        (broken.Invents, "I6"),
    ],
)
async def test_a_broken_publisher_is_detected(
    things: Things, producer: type[TransactionalProducer], invariant: str
) -> None:
    run = await run_of(things, wrong_after_the_snapshot(producer))
    assert invariant in invariants(run)
    assert invariants(run) <= {invariant, "I5"}


def wrong_after_the_snapshot(producer: type[TransactionalProducer]) -> type[TransactionalProducer]:
    """Breaks only batches about `PEOPLE[1:]`. A class of its own, since it keeps state per test."""

    class Wrong(producer):  # type: ignore[valid-type,misc]
        async def commit(self, records: Iterable[Outgoing], count: int, position: str) -> None:
            batch = list(records)
            ours = any(dict(record.headers)["ce_partitionkey"].decode() in PEOPLE[1:] for record in batch)
            commit = super().commit if ours else partial(TransactionalProducer.commit, self)
            await commit(batch, count, position)

    return Wrong


async def test_a_publisher_that_reorders_is_detected(things: Things) -> None:
    """All versions are written before it starts, so that they are in one batch."""
    async with running(things.publisher):
        await eventually(things.tails, 20, "the publisher tails the stream")
    (thing,) = await things.write(1, "person")
    for text in ("second", "third"):
        thing = await things.rewrite(thing, text)
    async with running(partial(things.publisher, producer=broken.Reorders)):
        await things.seen(3)
    run = Evidence({(thing.id, 3)}, set(), {thing.id: 3}, seen_in(things.subscriber.records, ["person"]))
    assert invariants(run) == {"I3", "I5"}


HEALTHY = Evidence(
    acknowledged={("a", 1), ("a", 2), ("b", 1)},
    source={"a": 2, "b": 1},
    topic=[Seen(0, 0, "a", 1), Seen(0, 2, "a", 2), Seen(1, 0, "b", 1)],
    store={"a": 2, "b": 1},
    answers={"key": {"answer"}},
)


def lost_write(run: Evidence) -> Evidence:
    return replace(run, acknowledged={*run.acknowledged, ("c", 1)})


def lagging_consumer(run: Evidence) -> Evidence:
    return replace(run, store={"a": 1, "b": 1})


def stale_tail(run: Evidence) -> Evidence:
    return replace(run, topic=[*run.topic, Seen(0, 3, "a", 1)], snapshots=True)


def second_effect(run: Evidence) -> Evidence:
    return replace(run, answers={"key": {"answer", "another answer"}})


def effect_of_a_refusal(run: Evidence) -> Evidence:
    return replace(run, source={**run.source, "c": 1}, topic=[*run.topic, Seen(0, 3, "c", 1)], store=None)


def wandering_document(run: Evidence) -> Evidence:
    return replace(run, topic=[*run.topic[:1], Seen(1, 2, "a", 2), run.topic[2]])


@pytest.mark.parametrize(
    ("damage", "invariant"),
    [
        (lost_write, "I1"),
        (wandering_document, "I3"),
        (lagging_consumer, "I4"),
        (stale_tail, "I5"),
        (second_effect, "I9"),
        (effect_of_a_refusal, "I9"),
    ],
)
def test_each_defect_violates_its_own_invariant(damage: Callable[[Evidence], Evidence], invariant: str) -> None:
    assert invariants(HEALTHY) == set()
    assert invariants(damage(HEALTHY)) == {invariant}
