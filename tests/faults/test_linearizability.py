"""The check of linearizability: it accepts every history of an atomic register, and finds what no register does."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sweep.history import (
    DELETED,
    NEVER,
    Created,
    Delivery,
    Entry,
    History,
    Kind,
    Login,
    Operation,
    Outcome,
    Upload,
)
from tests.sweep.linearizability import check, check_record

Facts = dict[int, str]
LONGEST_REQUEST = 6.0  # in the time between two effects: up to six requests overlap


class Register:
    """A record as an atomic register with compare-and-set; effects take place one second after the other."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.values: list[str] = []
        self.operations: list[Operation] = []

    @property
    def facts(self) -> Facts:
        return dict(enumerate(self.values, 1))

    def create(self) -> None:
        self._write("create", 0, "value 1")

    def step(self) -> None:
        kinds: list[Kind] = ["edit", "edit", "read", "read", "delete"]
        kind, version = self.random.choice(kinds), len(self.values)
        if kind == "read":
            self._log("read", 0, "ok", "", *self._current())
        elif kind == "delete" and self.random.random() < 0.8:
            self._log("delete", version, "unknown", DELETED, None, "")  # a lost request
        else:
            stale = self.random.random() < 0.2
            self._write(kind, max(1, version - stale), DELETED if kind == "delete" else f"value {self.random.random()}")

    def _write(self, kind: Kind, expected: int, sent: str) -> None:
        version, seen = self._current()
        if seen == DELETED or expected != len(self.values):
            self._log(kind, expected, "refused", sent, version, seen)
        elif self.random.random() < 0.15:
            self._log(kind, expected, "unknown", sent, None, "")
            if self.random.random() < 0.5:  # the answer was lost, or the request
                self.values.append(sent)
        else:
            self.values.append(sent)
            self._log(kind, expected, "ok", sent, expected + 1, sent)

    def _current(self) -> tuple[int | None, str]:
        if not self.values or self.values[-1] == DELETED:
            return None, DELETED if self.values else ""
        return len(self.values), self.values[-1]

    def _log(self, kind: Kind, expected: int, outcome: Outcome, sent: str, version: int | None, seen: str) -> None:
        at, client = float(len(self.operations)), f"client {len(self.operations)}"
        invoked = at - self.random.uniform(0, LONGEST_REQUEST / 2)
        returned = NEVER if outcome == "unknown" else at + self.random.uniform(0, LONGEST_REQUEST / 2)
        self.operations.append(
            Operation(client, "person", "record", kind, expected, invoked, returned, outcome, sent, version, seen)
        )


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Operation], Facts]:
    """A history of an atomic register, shuffled, and the versions that it has at the end."""
    random = Random(draw(st.integers(0, 2**32)))
    register = Register(random)
    register.create()
    for _ in range(draw(st.integers(0, 40))):
        register.step()
    random.shuffle(register.operations)
    return register.operations, register.facts


@given(histories())
@settings(max_examples=150, deadline=None)
def test_every_history_of_an_atomic_register_is_accepted(history: tuple[list[Operation], Facts]) -> None:
    operations, facts = history
    assert check_record(operations, facts) == []


@given(histories())
@settings(max_examples=40, deadline=None)
def test_it_is_accepted_without_the_database_and_the_topic_too(history: tuple[list[Operation], Facts]) -> None:
    operations, _ = history
    assert check_record(operations, {}) == []


def write(version: int, invoked: float, returned: float = NEVER, sent: str = "") -> Operation:
    """A write of this version; an unanswered one if it never returns."""
    sent = sent or f"value {version}"
    kind: Kind = "delete" if sent == DELETED else "edit" if version > 1 else "create"
    lost = Operation("writer", "p", "r", kind, version - 1, invoked, returned, "unknown", sent)
    return lost if returned == NEVER else replace(lost, outcome="ok", version=version, seen=sent)


def read(version: int, invoked: float, returned: float, seen: str = "") -> Operation:
    return Operation("reader", "p", "r", "read", 0, invoked, returned, "ok", "", version, seen or f"value {version}")


def not_found(invoked: float, returned: float) -> Operation:
    return Operation("reader", "p", "r", "read", 0, invoked, returned, "refused", "", None, DELETED)


THREE = [write(1, 0, 1), write(2, 2, 3), write(3, 4, 5)]

Mutation = Callable[[Sequence[Operation], Facts, Random], tuple[Sequence[Operation], Facts]]


def stale_read(operations: Sequence[Operation], facts: Facts, random: Random) -> tuple[Sequence[Operation], Facts]:
    """A read that begins after the last acknowledged write has returned, and shows the version before it."""
    last = max((each for each in operations if acknowledged(each)), key=lambda each: each.expected)
    old = read(last.expected, last.returned + 0.1, last.returned + 0.2, facts[last.expected])
    return [*operations, old], facts


def read_from_the_future(
    operations: Sequence[Operation], facts: Facts, random: Random
) -> tuple[Sequence[Operation], Facts]:
    """A read that has returned before the write of its version is invoked."""
    last = max((each for each in operations if acknowledged(each)), key=lambda each: each.expected)
    version, before = last.expected + 1, min(each.invoked for each in operations)
    return [*operations, read(version, before - 2, before - 1, facts[version])], facts


def lost_update(operations: Sequence[Operation], facts: Facts, random: Random) -> tuple[Sequence[Operation], Facts]:
    """A second edit of the same version is acknowledged: the first one is overwritten."""
    chosen = random.choice([each for each in operations if acknowledged(each)])
    second = replace(chosen, client="another", sent="another value", seen="another value")
    return [*operations, second], facts


def another_value(operations: Sequence[Operation], facts: Facts, random: Random) -> tuple[Sequence[Operation], Facts]:
    """A read shows a version with the data of the version before it."""
    chosen = random.choice([each for each in operations if acknowledged(each)])
    wrong = read(chosen.expected + 1, chosen.invoked, chosen.returned, facts[chosen.expected])
    return [*operations, wrong], facts


def forgotten_write(operations: Sequence[Operation], facts: Facts, random: Random) -> tuple[Sequence[Operation], Facts]:
    """The database has another value than was acknowledged, as after a rollback."""
    chosen = random.choice([each for each in operations if acknowledged(each)])
    return operations, facts | {chosen.expected + 1: "a value nobody sent"}


def effect_of_a_refusal(
    operations: Sequence[Operation], facts: Facts, random: Random
) -> tuple[Sequence[Operation], Facts]:
    """The last version is that of a write that was refused."""
    top = max(facts)
    refused = replace(write(top + 1, 100, 101), outcome="refused", version=top, seen=facts[top])
    return [*operations, refused], facts | {top + 1: refused.sent}


def acknowledged(each: Operation) -> bool:
    return each.kind == "edit" and each.outcome == "ok"


@pytest.mark.parametrize(
    "mutation",
    [stale_read, read_from_the_future, lost_update, another_value, forgotten_write, effect_of_a_refusal],
)
@given(history=histories(), seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_every_mutation_is_found(mutation: Mutation, history: tuple[list[Operation], Facts], seed: int) -> None:
    operations, facts = history
    if not any(map(acknowledged, operations)):
        operations, facts = [*THREE], {version: f"value {version}" for version in (1, 2, 3)}
    if facts[max(facts)] == DELETED and mutation is effect_of_a_refusal:
        return  # then no later version has a value to read
    assert check_record(*mutation(operations, facts, Random(seed))) != []


def test_two_overlapping_reads_may_return_in_any_order() -> None:
    assert check_record([*THREE[:1], write(2, 2, 10), read(2, 3, 9), read(1, 2.5, 4)], {}) == []
    assert check_record([*THREE[:1], write(2, 2, 10), read(2, 3, 4), read(1, 5, 6)], {}) != []


def test_an_unanswered_write_counts_when_its_version_was_seen() -> None:
    lost = write(2, 2)
    assert check_record([*THREE[:1], lost], {}) == []
    assert check_record([*THREE[:1], lost, read(2, 50, 51)], {}) == []
    assert check_record([*THREE[:1], lost, write(3, 60, 61)], {}) == []
    assert check_record([*THREE[:1], lost, read(2, 1.2, 1.5)], {}) != [], "seen before it was sent"
    assert check_record([*THREE[:1], lost, read(2, 50, 51), read(1, 52, 53)], {}) != [], "it can't be undone"
    assert check_record([*THREE[:1], read(2, 50, 51)], {}) != [], "nobody has written it"


def test_a_deletion_is_a_version_that_reads_as_not_found() -> None:
    deleted = write(2, 2, 3, sent=DELETED)
    assert check_record([*THREE[:1], deleted, not_found(4, 5)], {2: DELETED}) == []
    assert check_record([*THREE[:1], deleted, not_found(1.2, 1.4)], {2: DELETED}) != [], "not found too early"
    assert check_record([*THREE[:1], deleted, read(1, 4, 5)], {2: DELETED}) != [], "read after its deletion"
    assert check_record([*THREE[:1], not_found(4, 5)], {}) != [], "nobody has deleted it"
    assert check_record([*THREE[:1], write(2, 2, sent=DELETED), not_found(4, 5)], {}) == []


def test_a_refusal_is_a_read_of_the_current_version() -> None:
    refused = replace(write(2, 6, 7), outcome="refused", version=3, seen="value 3")
    assert check_record([*THREE, refused], {}) == []
    assert check_record([*THREE, replace(refused, version=2, seen="value 2")], {}) != [], "2 was not current any more"
    assert check_record([*THREE, replace(refused, expected=3)], {}) != [], "it was current"


def test_violations_name_their_record() -> None:
    others = [replace(each, record="other") for each in THREE]
    found = check([*THREE, *others, replace(read(2, 8, 9), record="other")], {})
    assert [(each.invariant, each.what[:7]) for each in found] == [("L", "other: ")]


def test_the_log_is_the_same_after_it_was_written_and_read(tmp_path: Path) -> None:
    history = History()
    entries: list[Entry] = [
        *THREE, write(4, 6), Created("key", "r", "answer"), Login("p", "139", 1, 1, 0, True),
        Upload("p", "r", "sum", True, True, 0.5, 1.5), Delivery("feed", "p", "r", 1, 2.5),
    ]  # fmt: skip
    for entry in entries:
        history.add(entry)
    history.write(tmp_path / "history.jsonl")
    assert History.read(tmp_path / "history.jsonl") == history
