"""The checks after a sweep: what the clients were answered, against what the servers have."""

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aiokafka import ConsumerRecord

from tests.support.change_clients import first_times
from tests.support.checker import Evidence, Seen, Violation
from tests.support.checker import check as check_evidence
from tests.sweep import linearizability
from tests.sweep.history import Channel, History, Operation

Values = dict[str, dict[int, set[str]]]
"""By record and version: the digest of its data; several only if something is wrong."""


@dataclass(frozen=True)
class Stored:
    """A record in the database: its version, the digest of its data, the state of its scan ("" without one)."""

    version: int
    value: str
    scan: str = ""


@dataclass(frozen=True)
class Scan:
    """A scan in the database."""

    record: str
    state: str
    sha256: str


@dataclass
class Found:
    """What the servers have of the load's people once everything is drained, or the time for it is over.

    `records`, `scans`: the databases of records and attachments. `topic` and `values`: the events, and their data by
    version. `kept`: the versions that a consumer has stored. `sessions`: by person. `codes`: SMS with a code by phone.
    `leaks`: records with personal data in clear.
    """

    records: Mapping[str, Stored] = field(default_factory=dict)
    scans: Sequence[Scan] = ()
    topic: list[Seen] = field(default_factory=list)
    persons: Mapping[str, str] = field(default_factory=dict)
    values: Values = field(default_factory=dict)
    kept: Mapping[str, int] = field(default_factory=dict)
    sessions: Mapping[str, int] = field(default_factory=dict)
    codes: Mapping[str, int] = field(default_factory=dict)
    leaks: Sequence[str] = ()
    snapshots: bool = False


def check(history: History, found: Found) -> list[Violation]:
    """Every violation of I1–I7, I9 (tests/support/checker.py), L, S, M, V, W, F and P; R is noted with each answer."""
    values = all_values(found)
    operations = resolved(history.operations, values)
    return [
        *check_evidence(evidence(history, operations, found)),
        *one_effect(values),
        *other_values(values),
        *linearizability.check(by_clients(operations, history), facts(values)),
        *sessions(history, found.sessions),
        *messages(history, found.codes),
        *verdicts(history, found),
        *order("W", "webhook", history, found),
        *order("F", "feed", history, found),
        *(Violation("P", f"personal data in clear: {where}") for where in found.leaks),
    ]


DOCUMENT_OR_PHONE = re.compile(r"\d{17}[\dX]|1[3-9]\d{9}")


def leaks(records: Iterable[ConsumerRecord], secrets: Container[str]) -> list[str]:
    """P: the records with one of these document numbers or phones in clear, anywhere in them."""
    return [
        f"{record.topic}/{record.partition}/{record.offset}"
        for record in records
        if any(text in secrets for text in DOCUMENT_OR_PHONE.findall(_text(record)))
    ]


def _text(record: ConsumerRecord) -> str:
    """Key, value and headers of a record."""
    parts = [record.key or b"", record.value or b"", *(value for _, value in record.headers)]
    return "\n".join(part.decode(errors="replace") for part in parts)


def resolved(operations: Iterable[Operation], values: Values) -> list[Operation]:
    """The operations; a create without an answer gets the id of the record that has its data, if there is one."""
    from_create = {value: record for record, own in values.items() for value in own.get(1, ())}
    found = []
    for each in operations:
        if not each.record:
            record = from_create.get(each.sent, "")
            if not record:
                continue
            each = replace(each, record=record)
        found.append(each)
    return found


def evidence(history: History, operations: Sequence[Operation], found: Found) -> Evidence:
    """The run as the checker of the publisher reads it; a deletion is a version."""
    writes = [each for each in operations if each.kind != "read"]
    answers: dict[str, set[str]] = defaultdict(set)
    for created in history.created:
        answers[created.key].add(created.answer)
    return Evidence(
        acknowledged={(each.record, each.expected + 1) for each in writes if each.outcome == "ok"},
        unknown={each.record for each in writes if each.outcome == "unknown"},
        source={record: stored.version for record, stored in found.records.items()},
        topic=found.topic, store=found.kept, answers=answers, snapshots=found.snapshots,
    )  # fmt: skip


def one_effect(values: Values) -> Iterable[Violation]:
    """Two records with the data of one create: its key had two effects (I9)."""
    records: dict[str, list[str]] = defaultdict(list)
    for record, own in values.items():
        for value in own.get(1, ()):
            records[value].append(record)
    for twins in records.values():
        if len(twins) > 1:
            yield Violation("I9", f"one create made {len(twins)} records: {sorted(twins)}")


def by_clients(operations: Iterable[Operation], history: History) -> list[Operation]:
    """The operations on records that only the clients write: the verdict on a scan is a version, too."""
    with_scan = {upload.record for upload in history.uploads}
    return [each for each in operations if each.record not in with_scan]


def all_values(found: Found) -> Values:
    """The values in the topic, and the current ones in the database."""
    together = {record: {version: set(own) for version, own in of.items()} for record, of in found.values.items()}
    for record, stored in found.records.items():
        together.setdefault(record, {}).setdefault(stored.version, set()).add(stored.value)
    return together


def other_values(values: Values) -> Iterable[Violation]:
    """I6: an event with other data than its version has in the database, or in another event."""
    for record, versions in values.items():
        for version, own in versions.items():
            if len(own) > 1:
                yield Violation("I6", f"{record} version {version} has {len(own)} different data")


def facts(values: Values) -> linearizability.Facts:
    """What is certain of the versions."""
    return {
        record: {version: value for version, own in versions.items() for value in own if len(own) == 1}
        for record, versions in values.items()
    }


def sessions(history: History, stored: Mapping[str, int]) -> Iterable[Violation]:
    """S: a session for a wrong code, two for one code. I1: an acknowledged session that is not stored."""
    for login in history.logins:
        count = stored.get(login.person, 0)
        if login.opened_by_wrong:
            yield Violation("S", f"a wrong code opened a session: {login.person}")
        if max(login.opened, count) > 1:
            yield Violation("S", f"one code, {login.opened} sessions acknowledged and {count} stored: {login.person}")
        if count and not login.proved:
            yield Violation("S", f"a session without the right code: {login.person}")
        if login.opened > count:
            yield Violation("I1", f"acknowledged, not in the database: the session of {login.person}")


def messages(history: History, codes: Mapping[str, int]) -> Iterable[Violation]:
    """M: more messages with a code than were requested, or more requests accepted than the limit allows."""
    for login in history.logins:
        if login.unlimited:
            yield Violation("M", f"two more codes were accepted at once: {login.person}")
        if codes.get(login.phone, 0) > login.requests:
            yield Violation("M", f"{codes[login.phone]} messages for {login.requests} requests: {login.person}")


def verdicts(history: History, found: Found) -> Iterable[Violation]:
    """V: an acknowledged scan that is lost, not judged, judged wrongly, or judged without its record knowing it."""
    scans = {scan.record: scan for scan in found.scans}
    for upload in history.uploads:
        scan = scans.get(upload.record)
        right = "accepted" if upload.good else "refused"
        if scan is None or scan.sha256 != upload.sha256:
            if upload.acknowledged:
                yield Violation("V", f"acknowledged, not in the database: the scan of {upload.record}")
        elif scan.state != right:
            yield Violation("V", f"the scan of {upload.record} is {scan.state}, not {right}")
        elif upload.record in found.records and found.records[upload.record].scan != right:
            yield Violation("V", f"{upload.record} does not know that its scan is {right}")


def order(invariant: str, channel: Channel, history: History, found: Found) -> Iterable[Violation]:
    """W, F: an event that a subscriber never got, or got for the first time after a later one of the same person."""
    published = _by_person((found.persons[each.id], each.id, each.version) for each in _in_order(found.topic))
    own = [each for each in history.deliveries if each.channel == channel]
    delivered = _by_person((each.person, each.record, each.version) for each in own)
    for person, events in sorted(published.items()):
        expected, got = first_times(events), first_times(delivered.get(person, []))
        if missing := set(expected) - set(got):
            yield Violation(invariant, f"{channel}: never delivered: {sorted(missing)[:5]} of {person}")
        elif wrong := [pair for pair in zip(expected, got, strict=False) if pair[0] != pair[1]]:
            yield Violation(invariant, f"{channel}: {wrong[0][1]} was delivered before {wrong[0][0]} of {person}")
        twice = Counter(delivered.get(person, [])) - Counter(events)
        if twice and channel == "feed":
            yield Violation(invariant, f"feed: more often than in the topic: {sorted(twice)[:5]} of {person}")


def _by_person(events: Iterable[tuple[str, str, int]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for person, record, version in events:
        found[person].append(f"{record}:{version}")
    return found


def _in_order(topic: Iterable[Seen]) -> list[Seen]:
    return sorted(topic, key=lambda each: (each.partition, each.offset))
