"""The subscriber in JavaScript beside the running stack: events need no Python."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.examples.conftest import Program, Records, Source
from tests.support.load import Load
from tests.support.node import needs_node
from tests.support.people import Person
from tests.support.scale import scaled
from tests.support.waiting import eventually

CHANGES = scaled(2_000, 200)
CAUGHT_UP_WITHIN = 120

pytestmark = needs_node


async def test_after_kills_its_file_equals_the_source(
    node_downstream: Program, source: Source, new_person: Callable[[], Person]
) -> None:
    people = [new_person() for _ in range(8)]
    with node_downstream.running():
        async with Load(people, 100).running() as log:
            await eventually(lambda: holds_some(node_downstream.folder, people), 60, "it keeps what arrives")
            node_downstream.killed()
            while len(log.acknowledged) < CHANGES:
                await asyncio.sleep(0.1)
        expected = await source.records(people)
        await eventually(lambda: equal(node_downstream.folder, people, expected), CAUGHT_UP_WITHIN, "the file is right")


async def holds_some(folder: Path, people: Sequence[Person]) -> bool:
    return len(kept(folder, people)) > 0


async def equal(folder: Path, people: Sequence[Person], expected: Records) -> bool:
    return kept(folder, people) == expected


def kept(folder: Path, people: Sequence[Person]) -> Records:
    file = folder / "records.json"
    records = json.loads(file.read_text())["records"] if file.exists() else {}
    persons = {person.id for person in people}
    return {
        identity: (record["version"], record["state"], record["data"])
        for identity, record in records.items()
        if record["practitioner_id"] in persons
    }
