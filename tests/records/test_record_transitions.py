"""Transitions of a record: random sequences, no server."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.attachments import AttachmentChanged
from contracts.records import Reason, Source
from services.records.domain import Data, Record
from tests.support.transitions import checked

AT = datetime(2026, 11, 24, 4, tzinfo=UTC)
WORDS = st.text("一二三四abc", max_size=10)
VALUES = st.none() | WORDS | st.lists(WORDS, max_size=3)
DATA: st.SearchStrategy[Data] = st.fixed_dictionaries({"school": WORDS, "majors": VALUES})
SOURCE = Source(system="registry", key="1", synced_at="2026-11-24T12:00:00+08:00")
KEEPERS = st.none() | st.sampled_from(["client:a", "client:b"])
STATES = st.sampled_from(["checking", "accepted", "refused", "deleted"])


def entered(data: Data) -> Record:
    return Record.entered("r", "p", "education", data, request="hash", at=AT, by="practitioner:p")


def scan(identity: str, version: int, state: str, *, seen: bool = False) -> AttachmentChanged:
    """The record's scan as attachments publishes it; of two scans the one with the later letter is newer."""
    reasons = [Reason(code="blank", message="…")] if state == "refused" else []
    at = AT + timedelta(days=ord(identity), minutes=version)
    return AttachmentChanged.model_validate({
        "practitioner_id": "p", "version": version, "action": state, "changed": ["state"], "at": at, "seen": seen,
        "attachment_id": identity, "record_id": "r", "kind": "education", "state": state, "title": "毕业证书",
        "reasons": reasons, "warnings": [], "sha256": "0", "size": 3, "width": None, "height": None, "dpi": None,
    })  # fmt: skip


SCANS = st.builds(scan, st.sampled_from("ab"), st.integers(1, 5), STATES, seen=st.booleans())


def step(record: Record, data: st.DataObject) -> Record | None:
    """The next version by a request, import or event; None: no change."""
    at, events = AT + timedelta(minutes=record.version), data.draw(SCANS)
    if record.state == "deleted" or data.draw(st.booleans()):
        return record.synced(data.draw(DATA), SOURCE, data.draw(KEEPERS), at=at, by="import:1")
    if data.draw(st.booleans()):
        written = record.edited(data.draw(DATA), at=at, by="practitioner:p")
        return data.draw(st.sampled_from([written, record.deleted(at=at, by="practitioner:p")]))
    return record.scan_changed(events, at=at, by="service:attachments") if record.outdated_by(events) else None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_a_record_keeps_its_owner_and_its_beginning(data: st.DataObject) -> None:
    first = record = entered(data.draw(DATA))
    own = {"id", "practitioner_id", "kind", "request", "created_at"}
    for _ in range(data.draw(st.integers(1, 8))):
        following = step(record, data)
        if following is None:
            continue
        before, record = record, checked(record, following)
        assert record.model_dump(include=own) == first.model_dump(include=own)
        assert record.as_created().data == first.data
        if before.state == "deleted":
            assert (record.state, record.source) == ("active", SOURCE)
        if before.source:
            assert record.source == SOURCE


LIVES: st.SearchStrategy[list[tuple[str, bool]]] = st.sampled_from([  # states of a scan, and whether it was seen
    [("checking", False)],
    [("checking", False), ("deleted", False)],
    [("checking", False), ("accepted", False), ("deleted", False)],
    [("checking", False), ("refused", False), ("refused", True)],
    [("checking", False), ("refused", False), ("refused", True), ("deleted", True)],
])  # fmt: skip


@settings(max_examples=60, deadline=None, derandomize=True)
@given(LIVES, LIVES, st.data())
def test_repeated_events_change_nothing(
    one: list[tuple[str, bool]], other: list[tuple[str, bool]], data: st.DataObject
) -> None:
    events = [
        scan(identity, version, state, seen=seen)
        for identity, life in (("a", one), ("b", other))
        for version, (state, seen) in enumerate(life, 1)
    ]
    cut = data.draw(st.integers(0, len(events)))
    again = data.draw(st.integers(0, cut))
    record = entered({"school": "1"})
    for event in [*events[:cut], *events[again:]]:
        if record.outdated_by(event):
            record = checked(record, record.scan_changed(event, at=AT, by="service:attachments"))
    shown, newest = record.attachment, events[-1]
    if newest.state == "deleted":
        assert shown is None
    else:
        assert shown is not None
        assert (shown.attachment_id, shown.state) == (newest.attachment_id, newest.state)
    assert record.version - 1 == sum(not event.seen or event.state == "deleted" for event in events)


def test_a_register_creates_a_record_and_changes_it() -> None:
    at = AT + timedelta(days=1)
    record = Record.imported("r", "p", "title", {"title": "讲师"}, SOURCE, "client:a", at=AT, by="import:1")
    assert (record.request, record.kept_by, record.source, record.action) == ("import:1", "client:a", SOURCE, "created")
    deleted = checked(record, record.deleted(at=AT, by="practitioner:p"))
    again = checked(deleted, deleted.synced({"title": "教授"}, SOURCE, None, at=at, by="import:2"))
    assert (again.state, again.data, again.kept_by) == ("active", {"title": "教授"}, None)
    assert again.changed == ["title", "state"]


def test_an_unknown_field_and_a_wrong_value_are_refused() -> None:
    record = entered({"school": "1"})
    with pytest.raises(KeyError):
        record.next_version({"stat": "deleted"}, at=AT, by="test", action="deleted")
    with pytest.raises(ValidationError):
        record.next_version({"state": "deletd"}, at=AT, by="test", action="deleted")
