"""Admission: how many requests a process handles at once, and which are refused first when it is overloaded.

By Little's law the number of requests in progress is their rate times their mean duration. While the mean duration is
above a target, the limit is set to the rate of completed requests times the target; while it is below, the limit grows
if it is used. Requests beyond the limit are refused at once instead of making all others wait.
See [AIMD limits](https://github.com/Netflix/concurrency-limits) for the family of such algorithms.
"""

import time
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TypeVar

from kit.settings import HttpSettings

T = TypeVar("T")
WINDOW_SECONDS, WINDOW_REQUESTS = 0.2, 10
"""How long the mean is taken before the limit is moved, at least."""
SLOWER, FASTER, FASTEST = 0.7, 1.1, 2.0
"""The factors by which the limit may change in a window."""
USED = 0.45
"""A limit of which less than this share is used says nothing about what the process can do, and is left as it is."""
START_PER_SECOND = 128.0
"""Requests that a process is expected to complete, until it has shown it: they make the limit at first, and again when
there have been few requests for `QUIET_SECONDS`."""
QUIET_SECONDS = 5.0


class Priority(Enum):
    """The share of the limit that may be in use when a request of this kind is accepted."""

    SHEDDABLE = 0.5
    """What can wait: new log-ins, imports."""
    NORMAL = 1.0
    """People in the middle of something: a session, a form, an upload, a log-in whose code was sent."""
    OPERATOR = 2.0
    EXEMPT = float("inf")
    """Waits by design, as for the next event: has no part in the limit."""


class Admission:
    """The adaptive limit of a process, and the requests that it handles."""

    def __init__(self, settings: HttpSettings, now: Callable[[], float] = time.monotonic) -> None:
        self._target, self.now = settings.target_seconds, now
        self._least, self._most = float(settings.least_concurrency), float(settings.concurrency)
        self.limit = self._start = min(START_PER_SECOND * self._target, self._most)
        self._active = 0
        self._start_window()

    def _start_window(self) -> None:
        self._begun, self._peak = self.now(), self._active
        self._times = 0.0
        self._completed = 0

    def admits(self, priority: Priority) -> bool:
        """Whether a request of this priority may begin now."""
        if self.now() - self._begun > QUIET_SECONDS and self._active < self.limit * USED:
            self.limit = max(self.limit, self._start)
            self._start_window()
        return self._active < min(self.limit * priority.value, self._most)

    def enter(self, *, measured: bool = True) -> "Request":
        """A request begins; `measured`: it should take as long as most."""
        self.count(1)
        return Request(self, measured)

    def count(self, change: int) -> None:
        """More or fewer requests are being handled."""
        self._active += change
        self._peak = max(self._peak, self._active)

    def completed(self, seconds: float) -> None:
        """A measured request took so many seconds, without those in which it waited for its client."""
        self._times += seconds
        self._completed += 1
        lasted = self.now() - self._begun
        if self._completed >= WINDOW_REQUESTS and lasted >= WINDOW_SECONDS:
            self._adjust(lasted)

    def _adjust(self, lasted: float) -> None:
        """Move the limit by what a window has shown."""
        mean = self._times / self._completed
        if mean <= self._target:
            self._grow(mean)
        elif self._peak >= self.limit * USED:  # one that was hardly used has shown nothing
            wanted = max(self.limit * SLOWER, self._target * self._completed / lasted)
            self.limit = max(self._least, min(wanted, self.limit))
        self._start_window()

    def _grow(self, mean: float) -> None:
        """Soon back to the start, in proportion to how much faster than the target requests are; then if it is used."""
        if self.limit < self._start:
            self.limit = min(self._start, self.limit * min(FASTEST, self._target / max(mean, 0.001)))
        elif self._peak >= self.limit * USED:
            self.limit = min(self._most, self.limit * FASTER)


class Request:
    """A request that is being handled."""

    def __init__(self, admission: Admission, measured: bool) -> None:
        self._admission, self._measured = admission, measured
        self._began = admission.now()

    async def waited(self, for_client: Awaitable[T]) -> T:
        """Await something that the client does; meanwhile the request is not one of those that are handled."""
        admission, began = self._admission, self._admission.now()
        admission.count(-1)
        try:
            return await for_client
        finally:
            admission.count(1)
            self._began += admission.now() - began

    def end(self) -> None:
        """The request has ended."""
        self._admission.count(-1)
        if self._measured:
            self._admission.completed(self._admission.now() - self._began)
