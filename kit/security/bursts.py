"""Bursts of denials: limits their log lines, and detects networks that guess at many subjects.

Each process counts in its own memory, so this works while Redis is unavailable.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable

GUESSES = frozenset(
    {
        "not_enrolled", "code_wrong", "unknown_account", "account_disabled", "password_wrong", "totp_wrong",
        "unknown_client", "client_disabled", "secret_wrong",
    }
)  # fmt: skip
"""The causes of denials that may be guesses at credentials."""
Now = Callable[[], float]


class LogLineLimit:
    """Limits the log lines for denials of one kind in a minute: `OF_NETWORK` for each network, `OF_ALL` in total.

    A flood does not fill the disk, and the flood of one network does not hide the denials of others.
    """

    SECONDS = 60
    OF_NETWORK = 1_000
    OF_ALL = 5_000

    def __init__(self, now: Now = time.monotonic) -> None:
        self._now, self._until = now, 0.0
        self._written, self._omitted = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()

    def admit(self, event: str, cause: str, network: str) -> int | None:
        """None if the line must not be written, otherwise the number of lines of its kind omitted before it."""
        if self._now() >= self._until:
            self._written.clear()
            self._until = self._now() + self.SECONDS
        kind, own = (event, cause), (event, cause, network)
        if self._written[kind] >= self.OF_ALL or self._written[own] >= self.OF_NETWORK:
            self._omitted[kind] += 1
            return None
        self._written.update((kind, own))
        return self._omitted.pop(kind, 0)


class SprayDetector:
    """Detects networks that guess at `SUBJECTS` subjects within ten minutes; remembers the newest `NETWORKS`."""

    SECONDS = 600
    SUBJECTS = 20
    NETWORKS = 2_000

    def __init__(self, now: Now = time.monotonic) -> None:
        self._now = now
        self._seen: OrderedDict[str, tuple[float, set[str]]] = OrderedDict()

    def noticed(self, network: str, subject: str) -> bool:
        """Whether this guess reaches the limit: true once in ten minutes."""
        began, subjects = self._seen.get(network, (self._now(), set[str]()))
        if self._now() - began > self.SECONDS:
            began, subjects = self._now(), set()
        if subject in subjects or len(subjects) >= self.SUBJECTS:
            return False
        self._seen[network] = (began, subjects | {subject})
        self._seen.move_to_end(network)
        if len(self._seen) > self.NETWORKS:
            self._seen.popitem(last=False)
        return len(subjects) + 1 == self.SUBJECTS
