"""The checks of a sweep: no alarm for a correct run, and each defect violates its own invariant."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.checker import Seen
from tests.sweep.checks import Found, Scan, Stored, check
from tests.sweep.history import DELETED, NEVER, Channel, Created, Delivery, History, Kind, Login, Operation, Upload

Run = tuple[History, Found]
CHANNELS: tuple[Channel, ...] = ("feed", "webhook")


def operation(record: str, kind: Kind, version: int, at: float, sent: str) -> Operation:
    expected = 0 if kind == "read" else version - 1
    written = "" if kind == "read" else sent
    return Operation("c", "p", record, kind, expected, at, at + 1, "ok", written, version, sent)


def correct() -> Run:
    """Record a: created, edited, read; b: created, deleted; s: with a scan, whose verdict is its version 2."""
    events = [("a", 1, "a1"), ("a", 2, "a2"), ("b", 1, "b1"), ("b", 2, DELETED), ("s", 1, "s1"), ("s", 2, "s1")]
    history = History(
        operations=[
            operation("a", "create", 1, 0, "a1"), operation("a", "edit", 2, 2, "a2"),
            operation("a", "read", 2, 4, "a2"),
            operation("b", "create", 1, 0, "b1"), operation("b", "delete", 2, 2, DELETED),
            operation("s", "create", 1, 0, "s1"),
        ],
        created=[Created("key", "a", "answer"), Created("key", "a", "answer")],
        logins=[Login("citizen", "139", 1, 1, 0, True)],
        uploads=[Upload("p", "s", "sum", True, True, 1, 2)],
        deliveries=[Delivery(each, "p", record, version, 9) for each in CHANNELS for record, version, _ in events],
    )  # fmt: skip
    found = Found(
        records={"a": Stored(2, "a2"), "b": Stored(2, DELETED), "s": Stored(2, "s1", "accepted")},
        scans=[Scan("s", "accepted", "sum")],
        topic=[Seen(0, offset, record, version) for offset, (record, version, _) in enumerate(events)],
        persons=dict.fromkeys("abs", "p"),
        values={"a": {1: {"a1"}, 2: {"a2"}}, "b": {1: {"b1"}, 2: {DELETED}}, "s": {1: {"s1"}, 2: {"s1"}}},
        kept={"a": 2, "b": 2, "s": 2},
        sessions={"citizen": 1},
        codes={"139": 1},
    )
    return history, found


def stale_read(history: History, found: Found) -> None:
    history.operations.append(operation("a", "read", 1, 5, "a1"))


def lost_deletion(history: History, found: Found) -> None:
    """The deletion of b is rolled back."""
    found.records = {**found.records, "b": Stored(1, "b1")}
    found.kept = {**found.kept, "b": 1}
    del found.values["b"][2], found.topic[3], history.deliveries[9], history.deliveries[3]


def event_of_other_data(history: History, found: Found) -> None:
    found.values["s"][2] = {"other data"}


def second_effect(history: History, found: Found) -> None:
    """The create of a has made the record c, too."""
    found.records, found.kept = {**found.records, "c": Stored(1, "a1")}, {**found.kept, "c": 1}
    found.values["c"], found.persons = {1: {"a1"}}, {**found.persons, "c": "p"}
    found.topic.append(Seen(0, 6, "c", 1))
    history.deliveries += [Delivery(each, "p", "c", 1, 9) for each in CHANNELS]


def other_answer(history: History, found: Found) -> None:
    history.created.append(Created("key", "a", "another answer"))


def wrong_code(history: History, found: Found) -> None:
    history.logins[0] = replace(history.logins[0], opened_by_wrong=1)


def two_sessions(history: History, found: Found) -> None:
    found.sessions = {"citizen": 2}


def lost_session(history: History, found: Found) -> None:
    found.sessions = {}


def second_message(history: History, found: Found) -> None:
    found.codes = {"139": 2}


def no_limit(history: History, found: Found) -> None:
    history.logins[0] = replace(history.logins[0], unlimited=True)


def no_verdict(history: History, found: Found) -> None:
    found.scans = [replace(found.scans[0], state="checking")]


def wrong_verdict(history: History, found: Found) -> None:
    history.uploads[0] = replace(history.uploads[0], good=False)


def lost_scan(history: History, found: Found) -> None:
    found.scans = []


def lost_delivery(history: History, found: Found) -> None:
    del history.deliveries[-1]


def swapped_deliveries(history: History, found: Found) -> None:
    own = history.deliveries
    own[6], own[7] = own[7], own[6]


def lost_change(history: History, found: Found) -> None:
    del history.deliveries[0]


def repeated_change(history: History, found: Found) -> None:
    history.deliveries.append(history.deliveries[0])


def phone_in_clear(history: History, found: Found) -> None:
    found.leaks = ["identity.messages/0/1"]


@pytest.mark.parametrize(
    ("damage", "invariant"),
    [
        (stale_read, "L"), (event_of_other_data, "I6"), (second_effect, "I9"), (other_answer, "I9"), (wrong_code, "S"),
        (two_sessions, "S"), (lost_session, "I1"), (second_message, "M"), (no_limit, "M"), (no_verdict, "V"),
        (wrong_verdict, "V"), (lost_scan, "V"), (lost_delivery, "W"), (swapped_deliveries, "W"), (lost_change, "F"),
        (repeated_change, "F"), (phone_in_clear, "P"),
    ],
)  # fmt: skip
def test_each_defect_violates_its_own_invariant(damage: Callable[[History, Found], None], invariant: str) -> None:
    history, found = correct()
    assert check(history, found) == []
    damage(history, found)
    assert {each.invariant for each in check(history, found)} == {invariant}


def test_a_lost_deletion_is_lost_and_read_wrongly_by_nobody() -> None:
    history, found = correct()
    lost_deletion(history, found)
    assert {each.invariant for each in check(history, found)} == {"I1"}


def test_a_create_without_an_answer_may_have_had_its_effect_or_not() -> None:
    history, found = correct()
    lost = replace(history.operations[0], record="", returned=NEVER, outcome="unknown", version=None, seen="")
    history.operations[0], history.created = lost, []
    assert check(history, found) == []
    history.operations.append(replace(lost, sent="data of a create that never arrived"))
    assert check(history, found) == []


def test_a_redelivery_to_a_webhook_is_permitted() -> None:
    history, found = correct()
    history.deliveries.append(history.deliveries[-6])
    assert check(history, found) == []
