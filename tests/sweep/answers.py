"""Calls through the gateway, and the rules that every answer must keep while servers fail."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx2

from tests.support.checker import Violation

LONGEST_PAUSE = 2.0
Answer = httpx2.Response | None
"""None: no answer, the connection broke or timed out."""


@dataclass
class Answers:
    """Counts the answers, and notes those that break a rule (R).

    Under faults a request may also end with a transport error, or with 503 and Retry-After.
    `tolerated`: further statuses that a fault explains.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[Violation] = field(default_factory=list)
    tolerated: set[int] = field(default_factory=set)

    async def ask(self, call: Awaitable[httpx2.Response], *allowed: int) -> Answer:
        """The answer to a call whose status may be one of `allowed`, or 503."""
        try:
            response = await call
        except httpx2.TransportError as error:
            self.statuses[type(error).__name__] += 1
            return None
        self.statuses[str(response.status_code)] += 1
        if response.status_code == 503 and not response.headers.get("Retry-After", "").isdigit():
            self._note(response, "503 without Retry-After")
        elif response.status_code not in (*allowed, *self.tolerated, 503):
            self._note(response, f"unexpected {response.status_code}")
        return response

    async def guarded(self, act: Callable[[], Awaitable[object]]) -> None:
        """Call `act`; an error, of an answer that it could not read, is noted instead of ending its client."""
        try:
            await act()
        except Exception as error:
            self.wrong.append(Violation("R", f"a client failed: {error!r}"))
            await asyncio.sleep(LONGEST_PAUSE)

    def _note(self, response: httpx2.Response, what: str) -> None:
        request = response.request
        where = f"{request.method} {request.url.path} (request {response.headers.get('X-Request-Id')})"
        self.wrong.append(Violation("R", f"{what}: {where}: {response.text[:200]}"))


def unanswered(answer: Answer) -> bool:
    """Whether a write may have taken place or not."""
    return answer is None or answer.status_code >= 500


def has_status(answer: Answer, status: int) -> bool:
    return answer is not None and answer.status_code == status


async def pause_before_retry(answer: Answer, most: float = LONGEST_PAUSE) -> None:
    """Wait as Retry-After asks, `most` seconds at most; half a second without an answer; with jitter."""
    asked = answer.headers.get("Retry-After", "") if answer is not None else ""
    seconds = min(most, float(asked)) if asked.isdigit() else 0.5
    await asyncio.sleep(seconds * random.uniform(1, 1.2))
