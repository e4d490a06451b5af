"""Bursts of denials: log lines are limited per network and in total; many subjects from one network raise one event."""

from dataclasses import dataclass

import pytest

from kit.security.bursts import LogLineLimit, SprayDetector


@dataclass
class Seconds:
    """A clock that the test sets."""

    now: float = 0

    def __call__(self) -> float:
        return self.now


def test_a_flood_writes_a_limited_number_of_lines_and_counts_the_rest() -> None:
    clock = Seconds()
    lines = LogLineLimit(clock)
    one = [lines.admit("access_denied", "no_token", "198.51.100.0/24") for _ in range(LogLineLimit.OF_NETWORK + 7)]
    assert one == [0] * LogLineLimit.OF_NETWORK + [None] * 7
    assert lines.admit("access_denied", "no_token", "203.0.113.0/24") == 7, (
        "another network is logged, with the count of suppressed lines"
    )
    assert lines.admit("access_denied", "forbidden", "198.51.100.0/24") == 0, "so is what else the same network does"
    many = [lines.admit("access_denied", "no_token", f"10.0.{place}.0/24") for place in range(LogLineLimit.OF_ALL)]
    assert many.count(None) == LogLineLimit.OF_NETWORK + 1
    clock.now = LogLineLimit.SECONDS
    assert lines.admit("access_denied", "no_token", "198.51.100.0/24") == LogLineLimit.OF_NETWORK + 1


def test_many_subjects_of_one_network_are_noticed_once_in_ten_minutes() -> None:
    clock = Seconds()
    sprays = SprayDetector(clock)
    many = [sprays.noticed("198.51.100.0/24", f"claimed:{place}") for place in range(2 * SprayDetector.SUBJECTS)]
    assert [place for place, noticed in enumerate(many) if noticed] == [SprayDetector.SUBJECTS - 1]
    assert not any(sprays.noticed("203.0.113.0/24", "claimed:1") for _ in range(2 * SprayDetector.SUBJECTS)), (
        "one subject"
    )
    clock.now = SprayDetector.SECONDS + 1
    again = [sprays.noticed("198.51.100.0/24", f"claimed:{place}") for place in range(SprayDetector.SUBJECTS)]
    assert again.count(True) == 1


@pytest.mark.parametrize(
    ("others", "is_noticed"), [(SprayDetector.NETWORKS - 1, True), (SprayDetector.NETWORKS, False)]
)
def test_many_networks_do_not_fill_the_memory(others: int, is_noticed: bool) -> None:
    """The number of networks kept is limited; the least recently seen one is evicted."""
    sprays = SprayDetector(Seconds())
    for place in range(1, SprayDetector.SUBJECTS):
        sprays.noticed("198.51.100.0/24", f"claimed:{place}")
    for place in range(others):
        sprays.noticed(f"10.{place}", "claimed:1")
    assert sprays.noticed("198.51.100.0/24", "claimed:last") == is_noticed
