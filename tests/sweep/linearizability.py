"""Whether the clients' log of each record is linearizable: some order of all operations explains every answer.

Linearizable (Herlihy and Wing, 1990): the operations can be put in one order in which each gets the answer that an
atomic register with compare-and-set would give, and in which none comes after an operation that was invoked after it
had returned. To find that order is a search in general (Wing and Gong 1993; Lowe 2017, as in porcupine), because equal
values do not show which write a read has seen. Here every successful write makes a version of its own, so the order is
known: the write of version v, then all reads of v in the order of their invocation, then the write of v + 1. The
history is linearizable if and only if that order agrees with the clock, which one pass over the sorted operations
decides. Any other order would give some operation another answer.

A write without an answer may have happened at any time after its invocation, or never. It counts only if its version
was seen: by a read, in the topic or database, or because the next version exists. If several such writes could have
made a version that nobody read, the one that was invoked first is taken: it is the least restrictive choice.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.checker import Violation
from tests.sweep.history import DELETED, Operation

Facts = Mapping[str, Mapping[int, str]]
"""By record and version: the digest of its data in the topic or the database."""


def check(operations: Iterable[Operation], facts: Facts) -> list[Violation]:
    """The violations of linearizability (L), by record."""
    by_record: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        by_record[operation.record].append(operation)
    return [
        Violation("L", f"{record}: {what}")
        for record, own in sorted(by_record.items())
        for what in check_record(own, facts.get(record, {}))
    ]


def check_record(operations: Sequence[Operation], facts: Mapping[int, str]) -> list[str]:
    """What is wrong with the history of one record; empty if it is linearizable."""
    versions = _Versions(operations, facts)
    wrong = [*_wrong_answers(operations), *versions.wrong()]
    return wrong or list(_out_of_order(versions.in_order()))


def _wrong_answers(operations: Sequence[Operation]) -> Iterator[str]:
    """Answers that no compare-and-set gives, whatever happened before."""
    for each in operations:
        if each.outcome == "ok" and each.kind != "read" and each.version != each.expected + 1:
            yield f"a {each.kind} of version {each.expected} made version {each.version}"
        elif each.outcome == "ok" and each.kind != "read" and each.seen != each.sent:
            yield f"the answer to the write of version {each.version} shows other data than were sent"
        elif each.outcome == "refused" and each.version == each.expected:
            yield f"a {each.kind} of version {each.expected} was refused although it was current"


@dataclass
class _Versions:
    """The versions of a record: who wrote each, who read it."""

    operations: Sequence[Operation]
    facts: Mapping[int, str]
    writers: dict[int, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    unknown: dict[int, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    readers: dict[int, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    values: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    deleted_reads: list[Operation] = field(default_factory=list)

    def __post_init__(self) -> None:
        for version, value in self.facts.items():
            self.values[version].add(value)
        for each in self.operations:
            self._place(each)
        for version in self._versions():
            if not self.writers[version] and (made_by := self._unanswered(version)):
                self.writers[version].append(made_by)
        self._place_deletion()

    def _place(self, each: Operation) -> None:
        if each.kind != "read" and each.outcome == "ok":
            self.writers[each.expected + 1].append(each)
        elif each.kind != "read" and each.outcome == "unknown":
            self.unknown[each.expected + 1].append(each)
        elif each.seen == DELETED:
            self.deleted_reads.append(each)
        elif each.version is not None:
            self.readers[each.version].append(each)
            self.values[each.version].add(each.seen)

    def _versions(self) -> range:
        known = [version for found in (self.writers, self.values) for version, each in found.items() if each]
        return range(1, max(known, default=0) + 1)

    def _unanswered(self, version: int) -> Operation | None:
        """The unanswered write that made a version: the one with its value, the first invoked if that is unknown."""
        seen = self.values[version]
        able = [each for each in self.unknown[version] if not seen or each.sent in seen]
        return min(able, key=lambda each: each.invoked, default=None)

    def _place_deletion(self) -> None:
        """Give the reads of a deleted record the version of its deletion, which may be an unanswered delete."""
        if not self.deleted_reads:
            return
        last = len(self._versions())
        if not any(each.sent == DELETED for each in self.writers[last]):
            deletes = [each for each in self.unknown[last + 1] if each.sent == DELETED]
            if deletes:
                last += 1
                self.writers[last].append(min(deletes, key=lambda each: each.invoked))
        if any(each.sent == DELETED for each in self.writers[last]):
            self.readers[last] += self.deleted_reads
            self.deleted_reads = []

    def wrong(self) -> Iterator[str]:
        """Versions without a writer, with two, or with another value than was written."""
        if self.deleted_reads:
            yield "not found, but never deleted"
        for version in self._versions():
            writers, values = self.writers[version], self.values[version]
            if not writers:
                yield f"version {version} was never written with the value that was seen: {sorted(values)}"
            elif len(writers) > 1:
                yield f"version {version} has {len(writers)} writers: {[each.client for each in writers]}"
            elif values - {writers[0].sent}:
                yield f"version {version} was written as {writers[0].sent}, and seen as {sorted(values)}"

    def in_order(self) -> Iterator[list[Operation]]:
        """The only possible order: each version's write, then its reads, which are free among themselves."""
        for version in self._versions():
            yield self.writers[version]
            yield self.readers[version]


def _out_of_order(groups: Iterable[list[Operation]]) -> Iterator[str]:
    """Operations that had returned before an operation was invoked that comes before them in the order."""
    latest: Operation | None = None
    for group in groups:
        for each in group:
            if latest is not None and each.returned < latest.invoked:
                yield (
                    f"{_named(each)} returned {latest.invoked - each.returned:.4f} s before "
                    f"{_named(latest)} was invoked, which must come first"
                )
        latest = max([*filter(None, [latest]), *group], key=lambda each: each.invoked, default=None)


def _named(each: Operation) -> str:
    version = each.version if each.version is not None else each.expected + 1
    return f"the {each.kind} by {each.client} that shows version {version}"
