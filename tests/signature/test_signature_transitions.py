"""Transitions of a signature sheet and of a signature: random sequences, no server."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.signature.domain import SENTENCES, Person, Signature, SignatureSheet, Verdict, remark, sheet_fault
from tests.support.transitions import checked

AT = datetime(2026, 11, 24, 4, tzinfo=UTC)
PERSON = Person(practitioner_id="p", version=7, name="王小明", document_number="310101199003071230")
REMARKS = st.lists(st.sampled_from([*SENTENCES]).map(remark), max_size=2)
VERDICTS = st.builds(Verdict, reasons=REMARKS, warnings=REMARKS, form_id=st.none() | st.uuids().map(str))


def uploaded() -> Signature:
    return Signature.uploaded("p", b"\xff\xd8\xff", sealed=True, at=AT, by="practitioner:p")


def printed() -> SignatureSheet:
    return SignatureSheet.printed("f", PERSON, "sealed", AT + timedelta(days=90), at=AT, by="practitioner:p")


def steps(signature: Signature, verdict: Verdict, at: datetime) -> list[Signature]:
    """The possible transitions."""
    if signature.state == "checking":
        return [signature.judged(verdict, at=at, by="service:signature")]
    found = [] if signature.state == "replaced" else [signature.replaced(at=at, by="service:signature")]
    if signature.state == "refused" and not signature.seen:
        found.append(signature.seen_by_owner(at=at, by="practitioner:p"))
    return found


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_a_signature_gets_one_verdict_and_a_replacement_is_final(data: st.DataObject) -> None:
    first = signature = uploaded()
    own = {"practitioner_id", "sha256", "size", "folder", "sealed", "created_at", "id"}
    while following := steps(signature, data.draw(VERDICTS), AT + timedelta(minutes=signature.version)):
        before, signature = signature, checked(signature, data.draw(st.sampled_from(following)))
        assert signature.model_dump(include=own) == first.model_dump(include=own)
        assert signature.state != "checking"
        if before.state != "checking":
            judged = {"reasons", "warnings", "form_id"}
            assert signature.model_dump(include=judged) == before.model_dump(include=judged)
        if signature.state != "replaced":
            assert (signature.state == "refused") == bool(signature.reasons)
    assert signature.state == "replaced"
    assert [entry.action for entry in signature.history].count("seen") == int(signature.seen)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 200), st.integers(1, 20))
def test_a_sheet_is_accepted_until_it_expires_or_is_outdated(days: int, identified: int) -> None:
    form, at = printed(), AT + timedelta(days=days)
    fault = sheet_fault(form, "p", identified, at)
    assert fault == ("sheet_stale" if identified > 7 else "sheet_expired" if days >= 90 else None)
    stale = checked(form, form.outdated(at=at, by="service:identity"))
    assert (stale.state, stale.changed) == ("stale", ["state"])
    assert "sealed" not in str(stale.history)


def test_an_unknown_field_and_a_wrong_value_are_refused() -> None:
    with pytest.raises(KeyError):
        uploaded().next_version({"stat": "replaced"}, at=AT, by="test", action="replaced")
    with pytest.raises(ValidationError):
        printed().next_version({"state": "stail"}, at=AT, by="test", action="outdated")
