"""Deadlines travel with calls between services: nobody works longer on a request than its caller waits."""

import asyncio
from contextvars import ContextVar
from math import inf

from starlette.types import Scope

HEADER = "X-Timeout-Ms"
_timer: ContextVar[asyncio.Timeout | None] = ContextVar("timer", default=None)


def start(timer: asyncio.Timeout) -> None:
    """The current request is aborted by `timer`."""
    _timer.set(timer)


def headers(at_most: float) -> dict[str, str]:
    """For a call whose response is awaited for `at_most` seconds, and no longer than the current request may take."""
    timer = _timer.get()
    until = timer.when() if timer else None
    left = until - asyncio.get_running_loop().time() if until else inf
    return {HEADER: str(max(1, round(min(left, at_most) * 1000)))}


def seconds(scope: Scope) -> float:
    """How long the caller of a request waits for its response; infinite if it doesn't say."""
    name = HEADER.lower().encode()
    given = next((value for key, value in scope["headers"] if key == name), b"")
    return int(given) / 1000 if given.isdigit() and len(given) < 10 and int(given) else inf
