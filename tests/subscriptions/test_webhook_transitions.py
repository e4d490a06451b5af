"""Transitions of a webhook, a replay and a position in the topic: random sequences, no server."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.subscriptions.webhooks.domain import (
    Answer,
    Delivery,
    PersonQueue,
    Progress,
    Reason,
    Replay,
    Retries,
    Webhook,
    WebhookDraft,
)
from tests.support.transitions import checked

AT = datetime(2026, 11, 24, 4, tzinfo=UTC)
DAY = timedelta(days=1)
RETRIES = Retries((1, 5, 30), DAY)
TEXTS = st.text("abc", max_size=8)
WISHES = st.builds(WebhookDraft, url=TEXTS, kinds=st.lists(TEXTS, max_size=2), description=TEXTS)
REASONS = st.sampled_from(get_args(Reason))
PARTITIONS = 3
OFFSETS = st.lists(st.integers(0, 100), min_size=PARTITIONS, max_size=PARTITIONS)
LANES = st.builds(
    PersonQueue, person=TEXTS, partition=st.integers(0, PARTITIONS - 1), offset=st.integers(0, 100), due_at=st.just(AT),
    attempts=st.just(0), since=st.just(None),
)  # fmt: skip
COUNTS = st.integers(0, 3)


def webhook(since: datetime | None = None) -> Webhook:
    return Webhook.registered(
        "w", "c", WebhookDraft("https://a.example", [], ""), "sealed-0", since=since, at=AT, by="client:c"
    )


def steps(hook: Webhook, data: st.DataObject, at: datetime) -> list[Callable[[], Webhook]]:
    """The possible transitions."""
    if hook.state == "deleted":
        return []
    moved = hook.resumed if hook.state == "paused" else lambda **by: hook.paused(data.draw(REASONS), **by)
    sealed = f"sealed-{hook.version}"
    return [
        lambda: hook.edited(data.draw(WISHES), at=at, by="client:c"),
        lambda: hook.secret_renewed(sealed, old_until=at + DAY, at=at, by="client:c"),
        lambda: moved(at=at, by="client:c"),
        lambda: hook.deleted(at=at, by="client:c"),
    ]


def holds(hook: Webhook) -> None:
    """Invariants of every version."""
    assert (hook.state == "active") <= (hook.reason is None)
    assert (hook.state == "paused") <= (hook.reason is not None)
    assert (hook.state == "deleted") == (hook.secret_sealed == "")
    assert (hook.state == "deleted") <= (hook.old_secret_sealed is None)
    assert "sealed-" not in str(hook.history)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data(), st.none() | st.just(AT - DAY))
def test_a_webhook_keeps_its_beginning_and_removes_its_secrets(data: st.DataObject, since: datetime | None) -> None:
    first = hook = webhook(since)
    assert (hook.since, hook.resumed_at) == (since or AT, AT)
    own = {"id", "client_id", "since", "created_at"}
    for hour in range(10):
        following = steps(hook, data, AT + timedelta(hours=hour))
        if not following:
            break
        before, hook = hook, checked(hook, data.draw(st.sampled_from(following))())
        holds(hook)
        assert hook.model_dump(include=own) == first.model_dump(include=own)
        assert (hook.resumed_at == before.resumed_at) or hook.action == "resumed"
        if hook.action == "secret_renewed":
            assert hook.old_secret_sealed == before.secret_sealed != hook.secret_sealed


def test_a_replay_and_a_delivery_are_stored_once() -> None:
    replay = Replay.requested("w", None, "p", at=AT, by="client:c")
    begun = checked(replay, replay.begun(at=AT))
    assert (replay.state, begun.state, begun.changed) == ("requested", "begun", ["state"])
    delivery = Delivery.attempted(
        "w", Answer(204, None, 3), "delivered", event_id="e", event_type="t", practitioner_id="p", attempt=1, at=AT
    )
    assert (delivery.version, delivery.action, delivery.status) == (1, "delivered", 204)
    assert Delivery.model_validate(delivery.model_dump(by_alias=True)) == delivery


def moves(place: Progress, data: st.DataObject, at: datetime) -> list[Callable[[], Progress]]:
    """The possible transitions of a webhook's position."""
    ahead = [each + data.draw(COUNTS) for each in place.offsets]
    lanes = data.draw(st.lists(LANES, max_size=3, unique_by=lambda lane: lane.person))
    tried = [lane.failed(lane.offset, at, RETRIES) for lane in place.lanes]
    return [
        lambda: place.read_to(ahead),
        lambda: place.with_queues(lanes),
        lambda: place.with_queues(tried),
        lambda: place.with_queues([lane.advanced(lane.offset + 1, at) for lane in place.lanes]),
        lambda: place.with_queues([], [lane.person for lane in place.lanes[:1]]),
        lambda: place.counted(
            succeeded=data.draw(COUNTS), failed=data.draw(COUNTS), abandoned=data.draw(COUNTS), now=at
        ),
        lambda: place.resumed(at),
        lambda: place.moved_back(data.draw(OFFSETS)),
    ]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.data())
def test_a_position_can_be_read_again_and_has_one_queue_per_person(data: st.DataObject) -> None:
    place = Progress(offsets=[50] * PARTITIONS, updated_at=AT)
    for minute in range(8):
        before, at = place, AT + timedelta(minutes=minute)
        place = data.draw(st.sampled_from(moves(place, data, at)))()
        assert Progress.model_validate(place.model_dump()) == place
        assert vars(place).keys() == Progress.model_fields.keys()
        assert all(vars(lane).keys() == PersonQueue.model_fields.keys() for lane in place.lanes)
        people = [lane.person for lane in place.lanes]
        assert len(people) == len(set(people))
        assert len(place.offsets) == PARTITIONS
        assert place.delivered >= before.delivered
        assert place.abandoned >= before.abandoned


def test_an_unknown_field_and_a_wrong_value_are_refused() -> None:
    with pytest.raises(KeyError):
        webhook().next_version({"stat": "paused"}, at=AT, by="test", action="paused")
    with pytest.raises(ValidationError):
        webhook().next_version({"state": "pausd"}, at=AT, by="test", action="paused")
