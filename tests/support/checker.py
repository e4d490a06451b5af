"""The invariants after any fault: every acknowledged version is published once, in order, completely."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Version = tuple[str, int]


@dataclass(frozen=True)
class Seen:
    """An event with its place in the topic."""

    partition: int
    offset: int
    id: str
    version: int
    key: str = ""


@dataclass
class Evidence:
    """What a run left, of its own documents only.

    `acknowledged`: versions whose write succeeded. `unknown`: ids whose write got no response. `source`: the current
    version by id. `topic`: what a read_committed reader sees. `store`: what a consumer stored. `answers`: the
    successful responses by Idempotency-Key. `snapshots`: whether one was started: then versions may repeat, or be
    skipped for newer ones. `removed`: the ids of purged documents; `tombstones`: the ids whose last record is one.
    """

    acknowledged: set[Version] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    source: Mapping[str, int] = field(default_factory=dict)
    topic: list[Seen] = field(default_factory=list)
    store: Mapping[str, int] | None = None
    answers: Mapping[str, set[str]] = field(default_factory=dict)
    snapshots: bool = False
    removed: frozenset[str] = frozenset()
    tombstones: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Violation:
    invariant: str
    what: str


def check(run: Evidence) -> list[Violation]:
    """Every violated invariant; empty if all hold."""
    rules = (_lost, _unseen, _disorder, _divergence, _stale_tail, _keys, _left, _phantoms, _duplicates, _double_effects)
    return [violation for rule in rules for violation in rule(run)]


def invariants(run: Evidence) -> set[str]:
    """The names of the violated invariants."""
    return {violation.invariant for violation in check(run)}


def _lost(run: Evidence) -> Iterable[Violation]:
    for identity, version in sorted(run.acknowledged):
        if identity not in run.removed and run.source.get(identity, 0) < version:
            yield Violation("I1", f"acknowledged, not in the database: {identity} version {version}")


def _unseen(run: Evidence) -> Iterable[Violation]:
    seen = {(event.id, event.version) for event in run.topic}
    for identity, current in run.source.items():
        for version in range(current if run.snapshots else 1, current + 1):
            if (identity, version) not in seen:
                yield Violation("I2", f"committed, not in the topic: {identity} version {version}")


def _disorder(run: Evidence) -> Iterable[Violation]:
    newest: dict[str, int] = {}
    homes: dict[str, int] = {}
    published: set[Version] = set()
    for event in _in_order(run):
        if homes.setdefault(event.id, event.partition) != event.partition:
            yield Violation("I3", f"{event.id} stands in two partitions")
        late = event.version < newest.get(event.id, 0) and (event.id, event.version) not in published
        if (
            late and not run.snapshots
        ):  # after a snapshot the stream publishes again the versions that the snapshot was ahead of
            yield Violation("I3", f"{event.id} version {event.version} was told first after {newest[event.id]}")
        published.add((event.id, event.version))
        newest[event.id] = max(newest.get(event.id, 0), event.version)


def _divergence(run: Evidence) -> Iterable[Violation]:
    if run.store is None:
        return
    for identity in sorted({*run.source, *run.store}):
        if run.source.get(identity) != run.store.get(identity):
            have, keep = run.source.get(identity), run.store.get(identity)
            yield Violation("I4", f"{identity}: the source has version {have}, the consumer {keep}")


def _stale_tail(run: Evidence) -> Iterable[Violation]:
    last = {event.id: event.version for event in _in_order(run)}
    newest: dict[str, int] = {}
    for event in _in_order(run):
        newest[event.id] = max(newest.get(event.id, 0), event.version)
    for identity, version in last.items():
        if version < newest[identity]:
            yield Violation("I5", f"{identity}: compaction would keep version {version} of {newest[identity]}")


def _keys(run: Evidence) -> Iterable[Violation]:
    keys: dict[str, set[str]] = defaultdict(set)
    for event in run.topic:
        keys[event.id].add(event.key)
    for identity, own in keys.items():
        if len(own) > 1:
            yield Violation("I5", f"{identity} has {len(own)} keys: compaction would keep a version of each")


def _left(run: Evidence) -> Iterable[Violation]:
    for identity in sorted(run.removed - run.tombstones):
        yield Violation("I5", f"{identity} was removed, and compaction would keep it: it has no tombstone")


def _phantoms(run: Evidence) -> Iterable[Violation]:
    for event in run.topic:
        if event.id not in run.removed and not 1 <= event.version <= run.source.get(event.id, 0):
            yield Violation("I6", f"told, never committed: {event.id} version {event.version}")


def _duplicates(run: Evidence) -> Iterable[Violation]:
    if run.snapshots:
        return
    places: dict[Version, list[tuple[int, int]]] = defaultdict(list)
    for event in run.topic:
        places[event.id, event.version].append((event.partition, event.offset))
    for (identity, version), published in places.items():
        if len(published) > 1:
            yield Violation("I7", f"{identity} version {version} was told {len(published)} times: {published}")


def _double_effects(run: Evidence) -> Iterable[Violation]:
    for key, answers in run.answers.items():
        if len(answers) > 1:
            yield Violation("I9", f"one key, {len(answers)} different answers: {key}")
    answered = {identity for identity, _ in run.acknowledged} | run.unknown
    if run.acknowledged:
        for identity in sorted(run.source.keys() - answered):
            yield Violation("I9", f"a write that was refused had an effect: {identity}")


def _in_order(run: Evidence) -> list[Seen]:
    """The committed events, in the order of the topic."""
    committed = [event for event in run.topic if event.version <= run.source.get(event.id, 0)]
    return sorted(committed, key=lambda event: (event.partition, event.offset))
