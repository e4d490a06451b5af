"""Accesses to a dossier are shown by visit (no stack needed)."""

from datetime import UTC, datetime, timedelta

from services.portal.client.models import AccessEntry
from services.portal.dossier.visits import visits

NINE = datetime(2026, 11, 30, 1, tzinfo=UTC)


def access(minutes: int, what: str, who: str = "clerk-1", reason: str = "窗口办理，办件号 1") -> AccessEntry:
    return AccessEntry(at=NINE + timedelta(minutes=minutes), who=who, role="clerk", what=what, reason=reason)


def test_what_somebody_read_in_one_go_is_one_visit() -> None:
    newest_first = [access(40, "record"), access(20, "record"), access(1, "records"), access(0, "practitioner")]
    (visit,) = visits(newest_first)
    assert visit.what == {"practitioner": 1, "records": 1, "record": 2}
    assert (visit.began, visit.ended) == (NINE, NINE + timedelta(minutes=40))


def test_another_reason_another_person_or_half_an_hour_begin_another_visit() -> None:
    newest_first = [
        access(80, "practitioner"),
        access(3, "practitioner"),
        access(2, "practitioner", who="clerk-2"),
        access(1, "practitioner", reason="窗口办理，办件号 2"),
        access(0, "practitioner"),
    ]
    found = visits(newest_first)
    assert [visit.began for visit in found] == [NINE + timedelta(minutes=minutes) for minutes in (80, 0, 2, 1)]
    assert sum(times for visit in found for times in visit.what.values()) == len(newest_first)


def test_no_access_is_no_visit() -> None:
    assert visits([]) == []
