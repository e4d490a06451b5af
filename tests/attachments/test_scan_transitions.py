"""Transitions of a scan: random sequences, no server."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from kit.files.documents import Remark
from kit.formats.images import Size
from services.attachments.domain import FAULTS, Attachment, KnownRecord, Verdict
from tests.support.transitions import checked

AT = datetime(2026, 11, 24, 4, tzinfo=UTC)
RECORD = KnownRecord(record_id="r", practitioner_id="p", kind="education", version=3)
REMARKS = st.sampled_from([Remark(code=code, message=message) for code, message in FAULTS.items()])
SIDES = st.integers(1, 5_000)
VERDICTS = st.builds(
    Verdict,
    reasons=st.lists(REMARKS, max_size=2),
    warnings=st.lists(REMARKS, max_size=2),
    size=st.none() | st.builds(Size, width=SIDES, height=SIDES),
    dpi=st.none() | st.integers(1, 600),
)


def uploaded() -> Attachment:
    return Attachment.uploaded(RECORD, "毕业证书", b"\xff\xd8\xff", sealed=True, at=AT, by="practitioner:p")


def steps(scan: Attachment, verdict: Verdict, at: datetime) -> list[Attachment]:
    """The possible transitions."""
    found = [] if scan.state == "deleted" else [scan.deleted(at=at, by="service:records")]
    if scan.state == "checking":
        found.append(scan.judged(verdict, at=at, by="service:attachments"))
    if scan.state == "refused" and not scan.seen:
        found.append(scan.seen_by_owner(at=at, by="practitioner:p"))
    return found


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_a_scan_gets_one_verdict_and_a_deletion_is_final(data: st.DataObject) -> None:
    first = scan = uploaded()
    own = {"practitioner_id", "record_id", "kind", "title", "sha256", "size", "folder", "sealed", "created_at", "id"}
    while following := steps(scan, data.draw(VERDICTS), AT + timedelta(minutes=scan.version)):
        before, scan = scan, checked(scan, data.draw(st.sampled_from(following)))
        assert scan.model_dump(include=own) == first.model_dump(include=own)
        assert scan.state != "checking"
        if before.state != "checking":
            judged = {"reasons", "warnings", "width", "height", "dpi"}
            assert scan.model_dump(include=judged) == before.model_dump(include=judged)
        if scan.state != "deleted":
            assert (scan.state == "refused") == bool(scan.reasons)
    assert scan.state == "deleted" or (scan.state == "accepted" and not scan.seen)
    assert [entry.action for entry in scan.history].count("seen") == int(scan.seen)


def test_a_checked_scan_has_its_measures_and_its_remarks() -> None:
    doubt = Remark(code="density_missing", message="…")
    scan = uploaded().judged(Verdict([], [doubt], Size(640, 480), 90), at=AT, by="service:attachments")
    assert (scan.state, scan.reasons, scan.warnings) == ("accepted", [], [doubt])
    assert (scan.width, scan.height, scan.dpi) == (640, 480, 90)
    assert scan.changed == ["state", "warnings", "width", "height", "dpi"]


def test_an_unknown_field_and_a_wrong_value_are_refused() -> None:
    with pytest.raises(KeyError):
        uploaded().next_version({"stat": "deleted"}, at=AT, by="test", action="deleted")
    with pytest.raises(ValidationError):
        uploaded().next_version({"state": "deletd"}, at=AT, by="test", action="deleted")
