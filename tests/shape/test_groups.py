"""Consumer groups are declared once, in each service's table; topics, guard and documentation follow from it."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from contracts import EVENTS
from contracts.identity import ClientChanged
from kit.core.events import EventData
from kit.kafka.topics import read_file
from kit.messaging.groups import Group, on
from kit.settings import KafkaSettings
from tests.support.matrix import same_as_the_page

ROOT = Path(__file__).parents[2]
HEAD = """# Consumer groups

Generated and checked by a test: `WRITE=1 make test a=tests/shape/test_groups.py`. The tables are `services/*/consumers.py`.
Each group has two topics of its own, `<group>.dead` and `<group>.replay`: [0005](decisions/0005-dead-letters.md).

| group | reads | events about erased people |
|---|---|---|
"""


def declared() -> Iterator[Group[Any]]:
    for path in sorted(ROOT.glob("services/*/consumers.py")):
        yield from import_module(f"services.{path.parent.name}.consumers").GROUPS


def line(group: Group[Any]) -> str:
    types = ", ".join(f"`{name}`" for name in group.types)
    return f"| `{group.name}` | {types} | {'handled' if group.for_erased else 'skipped'} |"


def test_the_page_lists_every_group() -> None:
    same_as_the_page("groups.md", HEAD + "\n".join(map(line, declared())) + "\n")


def test_every_group_has_its_topics_and_no_topic_belongs_to_a_removed_group() -> None:
    named = {topic.name for topic in read_file(ROOT / "deploy/topics.yaml")}
    own = {name for name in named if name.endswith((".dead", ".replay"))}
    assert {name for group in declared() for name in group.own_topics} == own
    assert {topic for group in declared() for topic in group.topics} <= named


def test_every_group_reads_events_that_a_service_publishes() -> None:
    published = {contract.TYPE for contract in EVENTS}
    assert all(set(group.types) <= published for group in declared())


async def passed_on(_: list[EventData], event: EventData) -> None:
    raise AssertionError(event)


def test_a_group_without_a_guard_must_declare_that_it_handles_erased_people() -> None:
    settings = KafkaSettings(servers="127.0.0.1:1")
    with pytest.raises(ValueError, match="needs a guard"):
        Group("things.people", on(ClientChanged, passed_on)).consumer([], None, settings, "0")
    open_to_all = Group("things.people", on(ClientChanged, passed_on), for_erased=True)
    assert open_to_all.consumer([], None, settings, "0").group == "things.people"
