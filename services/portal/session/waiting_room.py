"""The waiting room before the log-in: when more people come than can be served, they wait in order."""

import time

from kit.redis import Place, WaitingLine
from services.portal import metrics

REFUSED_SECONDS = 1.0
"""How long a refused call counts as a sign that people come too fast."""


class WaitingRoom:
    """Who may begin to log in. A place belongs to a browser, by its cookie, and can be given to nobody else."""

    def __init__(self, line: WaitingLine) -> None:
        self._line = line
        self._refused_at = -REFUSED_SECONDS

    async def place(self, browser: str, busy: bool) -> Place:
        """The place of a browser, at the end of the line if it has none. `busy`: this process has much to do.

        Raises `Unavailable`.
        """
        refused = time.monotonic() - self._refused_at < REFUSED_SECONDS
        place = await self._line.look(browser, busy or refused)
        metrics.waiting_people.set(place.waiting)
        metrics.pace.set(place.pace)
        return place

    def refused(self) -> None:
        """Note that a service could not serve somebody who was let in."""
        self._refused_at = time.monotonic()

    async def leave(self, browser: str) -> None:
        """The browser has logged in: for another log-in it waits again. Raises `Unavailable`."""
        await self._line.leave(browser)
