"""Rules of subscriptions without a server: cursors, retries, and which queues wait."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.subscriptions.feed.domain import MAX_OFFSET, BadCursor, ForeignCursor, read_cursor, write_cursor
from services.subscriptions.webhooks.domain import MAX_PERSON_QUEUES, PersonQueue, Progress, Retries, kind_matches

NOON = datetime(2026, 11, 24, 4, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
RETRIES = Retries((1, 5, 30), DAY)


def progress(*lanes: PersonQueue, **more: object) -> Progress:
    return Progress.model_validate({"offsets": [100, 100, 100], "lanes": list(lanes), "updated_at": NOON, **more})


def lane(person: str = "p", offset: int = 10, **more: object) -> PersonQueue:
    return PersonQueue.model_validate({"person": person, "partition": 1, "offset": offset, "due_at": NOON, **more})


@given(st.lists(st.integers(0, MAX_OFFSET), min_size=1, max_size=48))
def test_a_cursor_is_read_as_written(offsets: list[int]) -> None:
    cursor = write_cursor(offsets)
    assert read_cursor(cursor, len(offsets)) == offsets
    assert cursor.replace("-", "").replace("_", "").isalnum()
    with pytest.raises(ForeignCursor):
        read_cursor(cursor, len(offsets) + 1)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_other_texts_are_not_cursors(text: str) -> None:
    with pytest.raises(BadCursor):
        read_cursor(text, 3)


@pytest.mark.parametrize(
    "inside", ["[1,1.0,1,1]", "[1,true,1,1]", "[1,-1,1,1]", "[2,1,1,1]", "[1,9223372036854775808,1,1]"]
)
def test_a_forged_cursor_is_refused(inside: str) -> None:
    with pytest.raises(BadCursor):
        read_cursor(base64.urlsafe_b64encode(inside.encode()).decode(), 3)


@pytest.mark.parametrize(
    ("kinds", "kind", "gets"),
    [([], "title", True), (["title"], "title", True), (["title"], "degree", False), (["title"], None, True)],
)
def test_a_filter_by_kind_keeps_events_without_a_kind(kinds: list[str], kind: str | None, gets: bool) -> None:
    assert kind_matches(kinds, kind) is gets


def test_pauses_grow_up_to_the_last_one() -> None:
    assert [RETRIES.after(attempts).total_seconds() for attempts in (1, 2, 3, 4, 400)] == [1, 5, 30, 30, 30]


def test_pauses_grow_per_event_and_start_again_with_the_next() -> None:
    first = lane().failed(10, NOON, RETRIES)
    second = first.failed(10, NOON + SECOND, RETRIES)
    other = second.failed(12, NOON + DAY, RETRIES)
    assert (first.attempts, first.since, first.due_at) == (1, NOON, NOON + SECOND)
    assert (second.attempts, second.since, second.due_at) == (2, NOON, NOON + 6 * SECOND)
    assert (other.attempts, other.since, other.offset) == (1, NOON + DAY, 12)


def test_progress_resets_the_failures_and_no_progress_keeps_them() -> None:
    failed = lane().failed(10, NOON, RETRIES)
    assert failed.advanced(10, NOON + DAY) == failed
    moved = failed.advanced(11, NOON + DAY)
    assert (moved.offset, moved.attempts, moved.since, moved.due_at) == (11, 0, None, NOON + DAY)


def test_only_the_waiting_queue_is_delayed() -> None:
    one = progress(lane("p"))
    assert (one.waits("p"), one.waits("q"), one.room) == (True, False, MAX_PERSON_QUEUES - 1)
    assert not one.with_queues([], ["p"]).waits("p")
    assert one.with_queues([lane("p", 20)]).lanes == [lane("p", 20)]


def test_the_longest_overdue_queue_is_first_and_none_is_early() -> None:
    late, later = lane("late", due_at=NOON - SECOND), lane("later", due_at=NOON)
    assert progress(later, late, lane("soon", due_at=NOON + SECOND)).due(NOON) == [late, later]


def test_waiting_ends_when_a_queue_is_due() -> None:
    soon = progress(lane("p", due_at=NOON + SECOND), lane("q", due_at=NOON + 9 * SECOND))
    assert [soon.idle(NOON + late * SECOND, 2 * SECOND) for late in (-5, 0, 3)] == [2 * SECOND, SECOND, 0 * SECOND]
    assert progress().idle(NOON, SECOND) == SECOND


def test_an_endpoint_is_failing_from_its_first_failure_until_the_next_success() -> None:
    failing = progress().counted(succeeded=0, failed=2, now=NOON)
    still = failing.counted(succeeded=0, failed=1, now=NOON + DAY)
    assert (failing.failing_since, still.failing_since) == (NOON, NOON)
    back = still.counted(succeeded=1, failed=5, now=NOON + DAY)
    assert (back.failing_since, back.delivered) == (None, 1)
    assert back.counted(succeeded=0, failed=0, now=NOON + DAY).failing_since is None


def test_a_recovered_endpoint_ends_the_pauses_of_all_queues() -> None:
    waiting = lane(due_at=NOON + timedelta(hours=1), attempts=7, since=NOON)
    back = progress(waiting, failing_since=NOON).counted(succeeded=1, failed=0, now=NOON + 90 * SECOND)
    assert back.due(NOON + 90 * SECOND)
    blip = progress(waiting, failing_since=NOON).counted(succeeded=1, failed=0, now=NOON + SECOND)
    assert not blip.due(NOON + 90 * SECOND)


def test_resuming_resets_earlier_failures() -> None:
    failed = progress(lane(due_at=NOON + DAY, attempts=9, since=NOON), failing_since=NOON)
    resumed = failed.resumed(NOON + DAY)
    assert (resumed.failing_since, resumed.due(NOON + DAY)[0].since) == (None, None)
    assert failed.resumed(NOON - DAY) == failed


def test_a_replay_goes_back_and_never_forward() -> None:
    waits = progress(lane("far", 10), lane("near", 90))
    again = waits.moved_back([500, 50, 0])
    assert (again.offsets, [one.person for one in again.lanes]) == ([100, 50, 0], ["far"])


def test_a_recreated_topic_is_read_from_its_beginning() -> None:
    found = progress(lane("p", 10), lane("q", 60)).within([0, 50, 0], [100, 100, 20])
    assert (found.offsets, [one.person for one in found.lanes]) == ([100, 100, 0], ["q"])
