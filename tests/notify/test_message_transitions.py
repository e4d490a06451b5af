"""Transitions of a message: random sequences, no server."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.notify.domain import FINAL, OUTCOME_UNKNOWN, UNKNOWN, Addressed, Message
from services.notify.templates import CATALOGUE
from tests.support.transitions import checked

AT = datetime(2026, 11, 24, 4, tzinfo=UTC)
LATER = AT + timedelta(days=3)
WORDS = st.text("abc_.", min_size=1, max_size=12)
PURPOSES = st.sampled_from(sorted(CATALOGUE))


ADDRESSED = Addressed("138****0000", "sealed-phone", "sealed-variables")


def queued(purpose: str, addressed: Addressed = ADDRESSED) -> Message:
    return Message.queued("m", "p", purpose, "c", addressed, send_before=LATER, due_at=AT, at=AT, by="identity")


def attempts(message: Message, word: str, at: datetime) -> list[Message]:
    """The possible transitions by a sender."""
    if not message.sending:
        waiting = [message.attempted(word, due_at=at, at=at), message.withdrawn(word, at=at), message.expired(at=at)]
        return [*waiting, message.postponed(word, due_at=LATER, at=at)]
    return [
        message.sent(word, ask_at=LATER, at=at),
        message.failed(word, until=LATER, at=at),
        message.outcome_unknown(ask_at=LATER, at=at),
        message.postponed(word, due_at=LATER, at=at),
        message.delivered(at=at),  # its receipt came before the carrier's response
    ]


def steps(message: Message, word: str, at: datetime) -> list[Message]:
    """The possible transitions by the service."""
    if message.state == "queued" and message.phone_sealed is None:
        return [message.addressed(ADDRESSED, at=at), message.unaddressed(at=at), message.withdrawn(word, at=at)]
    if message.state == "queued":
        return attempts(message, word, at)
    found = []
    if message.awaits_receipt:
        found = [message.delivered(at=at), message.failed(word, until=LATER, at=at)]
    if message.due_at:
        found += [message.asked(ask_at=LATER, at=at), message.forgotten(at=at)]
    if message.state == "failed" and message.phone_sealed and not message.is_code:
        found.append(message.queued_again(send_before=LATER, at=at, by="staff:o"))
    return found


def holds(message: Message) -> None:
    """Invariants of every version: a message that was sent and is due has its phone, a code only until it was sent."""
    if message.state == "queued":
        assert message.due_at
        assert (message.variables_sealed is None) == (message.phone_sealed is None)
        assert message.phone_sealed or not message.attempts
    else:
        assert (message.due_at is None) == (message.phone_sealed is None)
        assert not message.sending
    if message.state in ("delivered", "expired") or (message.is_code and message.state != "queued"):
        assert message.variables_sealed is None
    if message.state in ("delivered", "expired"):
        assert message.due_at is None
        assert not message.awaits_receipt
    assert (message.reason is None) or message.state not in ("sent", "delivered")
    assert message.reason or message.state not in FINAL - {"delivered"}
    assert "sealed" not in str(message.history)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.data(), PURPOSES, st.sampled_from([ADDRESSED, UNKNOWN]))
def test_a_message_keeps_only_the_data_it_needs(data: st.DataObject, purpose: str, addressed: Addressed) -> None:
    first = message = queued(purpose, addressed)
    holds(message)
    own = {"id", "practitioner_id", "purpose", "about", "created_at"}
    for minute in range(12):
        following = steps(message, data.draw(WORDS), AT + timedelta(minutes=minute))
        if not following:
            break
        before, message = message, checked(message, data.draw(st.sampled_from(following)))
        holds(message)
        assert message.model_dump(include=own) == first.model_dump(include=own)
        assert message.attempts == before.attempts + (message.action == "attempted")
        assert (message.action == message.state) == (message.state != before.state or message.action in FINAL)
        if before.phone_sealed is None:
            assert message.phone_sealed is None or message.action == "addressed"


@settings(max_examples=20, deadline=None, derandomize=True)
@given(PURPOSES)
def test_only_a_notice_that_failed_can_be_sent_again(purpose: str) -> None:
    tried = queued(purpose).attempted("tencent", due_at=LATER, at=AT)
    failed = checked(tried, tried.failed("bad_number", until=LATER, at=AT))
    assert bool(failed.phone_sealed and failed.variables_sealed) is not failed.is_code
    unknown = checked(tried, tried.outcome_unknown(ask_at=LATER, at=AT))
    assert (unknown.reason, unknown.awaits_receipt, failed.awaits_receipt) == (OUTCOME_UNKNOWN, True, False)


def test_a_notice_without_a_phone_is_looked_at_after_growing_pauses_until_it_is_too_old() -> None:
    message, pauses = queued("erasure_requested", UNKNOWN), []
    while message.due_at and message.due_at < message.send_before:
        at = message.due_at
        message = checked(message, message.unaddressed(at=at))
        pauses.append((message.due_at - at).total_seconds() if message.due_at else 0.0)
    assert pauses[:4] == [1, 1, 2, 4]
    assert (len(pauses), message.due_at) == (19, message.send_before)


def test_an_unknown_field_and_a_wrong_value_are_refused() -> None:
    with pytest.raises(KeyError):
        queued("login_code").next_version({"stat": "sent"}, at=AT, by="test", action="sent")
    with pytest.raises(ValidationError):
        queued("login_code").next_version({"state": "send"}, at=AT, by="test", action="sent")
