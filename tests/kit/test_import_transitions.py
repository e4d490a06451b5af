"""Transitions of an import, batch by batch: random sequences, no server."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from kit.imports.model import LEASE, Import, Outcome, RowError
from tests.support.transitions import checked

AT = datetime(2026, 11, 24, 4, tzinfo=UTC)
FAILED: Outcome = (RowError("name", "required", "…"),)
OUTCOMES = st.lists(st.sampled_from(list[Outcome](["created", "updated", "unchanged", FAILED])), min_size=1, max_size=5)


def started() -> Import:
    return Import.started("title", ["name", None], 100, at=AT, by="client:a")


def moved(job: Import, data: st.DataObject) -> Import:
    """The next transition of a running import."""
    at = AT + timedelta(seconds=job.version)
    if job.runner is None or data.draw(st.integers(0, 3)) == 0:  # the first one, or another after a crash
        return job.claimed(data.draw(st.sampled_from("ab")), at=at)
    by = f"worker:{job.runner}"
    if data.draw(st.integers(0, 3)) == 0:
        return job.ended(data.draw(st.sampled_from(["finished", "failed"])), at=at, by=by)
    return job.advanced(data.draw(OUTCOMES), at=at, by=by)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_an_import_counts_each_row_once_whichever_worker_processes_it(data: st.DataObject) -> None:
    job = started()
    for _ in range(10):
        before, job = job, checked(job, moved(job, data))
        assert job.rows_done == job.rows_created + job.rows_updated + job.rows_unchanged + job.rows_failed
        assert job.rows_done >= before.rows_done
        assert (job.started_by, job.folder, job.columns) == ("client:a", before.folder, ["name", None])
        over = job.state in ("finished", "failed")
        assert (job.runner, job.lease_until) == ((None, None) if over else (job.runner, job.updated_at + LEASE))
        if over:
            return


def test_a_batch_is_counted_by_the_outcome_of_its_rows() -> None:
    outcomes: list[Outcome] = ["created", "created", "updated", FAILED]
    job = started().claimed("a", at=AT).advanced(outcomes, at=AT, by="worker:a")
    assert {name: getattr(job, name) for name in Import.COUNTS} == {
        "rows_done": 4, "rows_created": 2, "rows_updated": 1, "rows_unchanged": 0, "rows_failed": 1,
    }  # fmt: skip


def test_an_unknown_field_and_a_wrong_value_are_refused() -> None:
    with pytest.raises(KeyError):
        started().next_version({"rows_dne": 1}, at=AT, by="test", action="advanced")
    with pytest.raises(ValidationError):
        started().next_version({"rows_done": "many"}, at=AT, by="test", action="advanced")
