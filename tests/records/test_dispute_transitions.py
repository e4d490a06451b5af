"""Transitions of a dispute, no server."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from contracts.records import Source
from services.records.disputes.api import Closing, DisputeOut, NewDispute
from services.records.disputes.domain import Dispute
from services.records.domain import Record
from services.records.publications import PUBLICATIONS
from services.records.store import DISPUTES
from tests.support.transitions import checked

AT = datetime(2026, 11, 24, 4, tzinfo=UTC)
SOURCE = Source(system="诚信系统", key="1", synced_at="2026-11-24T12:00:00+08:00")
RECORD = Record.imported("r", "p", "credit", {"subject": "1"}, SOURCE, None, at=AT, by="import:1")
CLERK = "staff:c"


def opened(text: str = "决定日期有误") -> Dispute:
    return Dispute.opened("d", RECORD, text, at=AT, by="practitioner:p")


def closed() -> Dispute:
    return checked(opened(), opened().closed("corrected", "来源单位已更正", at=AT + timedelta(days=1), by=CLERK))


def test_a_dispute_knows_its_record_and_the_version_of_it() -> None:
    changed = RECORD.synced({"subject": "2"}, SOURCE, None, at=AT, by="import:2")
    dispute = Dispute.opened("d", changed, "事由有误", at=AT, by="practitioner:p")
    assert (dispute.practitioner_id, dispute.record_id, dispute.kind) == ("p", "r", "credit")
    assert (dispute.record_version, dispute.state, dispute.outcome) == (2, "open", None)


def test_a_closed_dispute_has_outcome_reason_time_and_author() -> None:
    dispute = closed()
    assert (dispute.state, dispute.outcome, dispute.reason) == ("closed", "corrected", "来源单位已更正")
    assert (dispute.closed_by, dispute.closed_at) == (CLERK, AT + timedelta(days=1))
    assert dispute.text == opened().text


def test_a_dispute_repeats_one_with_the_same_text_about_the_same_record() -> None:
    assert opened().repeats(closed())
    assert not opened("事由有误").repeats(opened())


def test_only_closing_is_an_entry_of_the_audit_trail_without_what_people_typed() -> None:
    assert PUBLICATIONS[DISPUTES](opened().model_dump(by_alias=True)) == []
    [entry] = PUBLICATIONS[DISPUTES](closed().model_dump(by_alias=True))
    assert (entry.data["kind"], entry.data["by"], entry.data["details"]) == (
        "dispute", CLERK, {"outcome": "corrected"},
    )  # fmt: skip
    assert "来源单位" not in str(entry.data)


def test_the_response_has_what_the_person_sees() -> None:
    shown = DisputeOut.of(closed())
    assert (shown.dispute_id, shown.record_version, shown.opened_at) == ("d", 1, AT)
    assert (shown.state, shown.reason, shown.closed_by) == ("closed", "来源单位已更正", CLERK)


@pytest.mark.parametrize("text", ["", "  \n", "x" * 501, "\x00", "\u202e"])
def test_both_texts_are_validated(text: str) -> None:
    with pytest.raises(ValidationError):
        NewDispute(text=text)
    with pytest.raises(ValidationError):
        Closing(outcome="corrected", reason=text)


def test_the_longest_text_is_accepted_and_becomes_one_line() -> None:
    assert NewDispute(text="𠮷" * 500).text == "𠮷" * 500
    assert NewDispute(text=" 第一行\r\n第二行 ").text == "第一行 第二行"
