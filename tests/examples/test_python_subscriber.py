"""The Python subscriber beside the running stack: killed, replayed, loaded from a given day."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from tests.examples.conftest import Downstream, Program, Records, Source
from tests.support.load import Load, Log
from tests.support.names import seeded
from tests.support.people import EDUCATION, Person
from tests.support.processes import Processes
from tests.support.scale import scaled
from tests.support.waiting import eventually

CHANGES = scaled(20_000, 600)
PER_SECOND = 300
WRITERS = 24
CAUGHT_UP_WITHIN = 120


@pytest.mark.faults
async def test_after_kills_its_table_equals_the_source(
    downstream: Downstream, source: Source, processes: Processes, new_person: Callable[[], Person]
) -> None:
    people = [new_person() for _ in range(WRITERS)]
    program = downstream.program
    with program.running():
        async with Load(people, PER_SECOND).running() as log:
            kills = await killing(program, processes, log)
        await asyncio.gather(*(deletes_one(person) for person in people))
        expected = await source.records(people)
        await eventually(lambda: equal(downstream, people, expected), CAUGHT_UP_WITHIN, "the table equals the source")
    print(
        f"{len(log.acknowledged)} changes, {kills} kills of the subscriber, records' worker killed {kills // 4} times"
    )
    assert {(record, 1) for record in expected} <= log.acknowledged
    assert_in_order(downstream, people, expected)


async def killing(program: Program, processes: Processes, log: Log) -> int:
    """Kills the subscriber, every fourth time the publisher too, until enough is written. Returns the count."""
    random, kills = seeded(), 0
    while len(log.acknowledged) < CHANGES:
        await asyncio.sleep(random.uniform(0.5, 3))
        program.killed()
        kills += 1
        if kills % 4 == 0:
            await processes.kill("records-worker")
    return kills


async def deletes_one(person: Person) -> None:
    record = (await person.list()).json()["items"][0]
    assert (await person.delete(record["record_id"], record["version"])).status_code == 204


async def equal(downstream: Downstream, people: Sequence[Person], expected: Records) -> bool:
    return downstream.records(people) == expected


def assert_in_order(downstream: Downstream, people: Sequence[Person], expected: Records) -> None:
    """Every version arrived exactly once, in order; and a person's changes in the order they were made."""
    versions, times = defaultdict(list), defaultdict(list)
    persons = {person.id for person in people}
    rows = downstream.rows("SELECT record_id, version, practitioner_id, at FROM arrivals ORDER BY number")
    for record, version, person, at in rows:
        if person in persons:
            versions[record].append(version)
            times[person].append(at)
    assert versions == {record: list(range(1, newest + 1)) for record, (newest, _, _) in expected.items()}
    assert all(each == sorted(each) for each in times.values())


async def test_a_replay_from_a_time_restores_changes_since_then_and_nothing_else(
    downstream: Downstream, source: Source, person: Person
) -> None:
    before = await person.created()
    await eventually(lambda: loaded(downstream, person, before["record_id"]), 30, "the first record arrived")
    since = datetime.now(UTC).isoformat()
    after = await person.created()
    changed = await person.change(after["record_id"], after["version"], EDUCATION | {"major": "建筑学"})
    assert changed.status_code == 200
    await eventually(lambda: loaded(downstream, person, after["record_id"], 2), 30, "the second record arrived")

    everything = await source.records([person])
    arrived = downstream.rows("SELECT * FROM arrivals")
    await downstream.once(since=since)
    assert downstream.records([person]) == everything
    assert downstream.rows("SELECT * FROM arrivals")[: len(arrived)] == arrived

    await downstream.once("from-a-day.db", since)
    assert downstream.records([person], "from-a-day.db").keys() == {after["record_id"]}


async def loaded(downstream: Downstream, person: Person, record_id: str, version: int = 1) -> bool:
    """Runs it once more. Returns whether it has this version."""
    await downstream.once()
    return downstream.records([person]).get(record_id, (0,))[0] == version
