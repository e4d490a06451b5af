"""A circuit breaker: an operator that is ill is left alone for a while, then tried with one message."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

BreakerState = Literal["closed", "half_open", "open"]
STATES: tuple[BreakerState, ...] = ("closed", "half_open", "open")


@dataclass(frozen=True, eq=False)
class Call:
    """A call under way; `probe`: its outcome decides whether the breaker closes."""

    begun: float
    probe: bool


@dataclass
class Breaker:
    """Opens at the first failure: what is lost by an unknown outcome costs more than a detour does.

    It need not be open to say no: while a call has been waiting for `slow_seconds`, or `most` are under way, the
    others take the detour; the call that hangs may still be answered. Seconds of a monotonic clock.
    """

    open_seconds: float
    slow_seconds: float
    most: int
    now: Callable[[], float] = time.monotonic
    _opened: float | None = None
    _calls: set[Call] = field(default_factory=set)

    @property
    def state(self) -> BreakerState:
        """Open turns into half open by itself, half open into closed by a call that goes well."""
        if self._opened is None:
            return "closed"
        return "open" if self.now() - self._opened < self.open_seconds else "half_open"

    def allows(self) -> bool:
        """Whether a call may begin now."""
        if self.state == "half_open":
            return not any(call.probe for call in self._calls)
        return self.state == "closed" and len(self._calls) < self.most and not self._slow()

    def begin(self) -> Call:
        """A call begins."""
        call = Call(self.now(), probe=self.state == "half_open")
        self._calls.add(call)
        return call

    def end(self, call: Call, *, well: bool) -> None:
        """It ended; a good end of a call from before the trouble proves nothing."""
        self._calls.discard(call)
        if not well:
            self._opened = self.now()
        elif call.probe:
            self._opened = None

    def _slow(self) -> bool:
        return any(self.now() - call.begun > self.slow_seconds for call in self._calls)
