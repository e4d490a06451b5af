"""Time, injected: the system clock in processes, a manual one in tests."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

ZERO = timedelta(0)
SHANGHAI = ZoneInfo("Asia/Shanghai")


class Clock(Protocol):
    """The time of day; intervals inside a process are measured with the event loop's monotonic clock."""

    def now(self) -> datetime:
        """The time in UTC, cut to milliseconds (MongoDB keeps no more)."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """The time in UTC, cut to milliseconds."""
        return to_milliseconds(datetime.now(UTC))


@dataclass
class ManualClock:
    """A clock that moves only when it is set."""

    time: datetime = field(default_factory=lambda: to_milliseconds(datetime.now(UTC)))

    def now(self) -> datetime:
        """The time that was set."""
        return self.time

    def advance(self, by: timedelta) -> None:
        """Move the clock."""
        self.time += by


def to_milliseconds(moment: datetime) -> datetime:
    """Cut microseconds off, so that a time read back from the database equals the one written."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def shanghai_date(moment: datetime) -> date:
    """The calendar day in the users' time zone."""
    return moment.astimezone(SHANGHAI).date()


def rfc3339(moment: datetime) -> str:
    """`2026-11-24T05:47:34.120Z`: UTC, milliseconds (RFC 3339)."""
    in_utc = moment if moment.utcoffset() == ZERO else moment.astimezone(UTC)
    return in_utc.isoformat(timespec="milliseconds")[:-6] + "Z"
