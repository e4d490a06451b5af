"""A circuit breaker: after a failure a carrier is not used for a while, then tried with one message."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

BreakerState = Literal["closed", "half_open", "open"]
STATES: tuple[BreakerState, ...] = ("closed", "half_open", "open")


@dataclass(frozen=True, eq=False)
class Call:
    """A call in progress; `probe`: its outcome decides whether the breaker closes."""

    started: float
    probe: bool


@dataclass
class Breaker:
    """Opens at the first failure: a code with an unknown outcome is lost, a detour costs only half a second.

    While closed it also refuses calls if one has waited for `slow_seconds` or `max_calls` are in progress: the messages
    go to another carrier, and the slow call may still be answered. Times are seconds of a monotonic clock.
    """

    open_seconds: float
    slow_seconds: float
    max_calls: int
    now: Callable[[], float] = time.monotonic
    _opened: float | None = None
    _calls: set[Call] = field(default_factory=set)

    @property
    def state(self) -> BreakerState:
        """An open breaker becomes half-open after `open_seconds`, a half-open one closed after a successful call."""
        if self._opened is None:
            return "closed"
        return "open" if self.now() - self._opened < self.open_seconds else "half_open"

    def allows(self) -> bool:
        """Whether a call may start now."""
        if self.state == "half_open":
            return not any(call.probe for call in self._calls)
        return self.state == "closed" and len(self._calls) < self.max_calls and not self._slow()

    def begin(self) -> Call:
        """Register the start of a call."""
        call = Call(self.now(), probe=self.state == "half_open")
        self._calls.add(call)
        return call

    def end(self, call: Call, *, succeeded: bool) -> None:
        """Register its end; success of a call that started before the breaker opened does not close it."""
        self._calls.discard(call)
        if not succeeded:
            self._opened = self.now()
        elif call.probe:
            self._opened = None

    def _slow(self) -> bool:
        return any(self.now() - call.started > self.slow_seconds for call in self._calls)
