"""Waiting for a condition: polled until a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(found: Callable[[], Awaitable[T]], within: float, what: str, pause: float = 0.05) -> T:
    """The first true result of `found`. Fails with `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = await found()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within:.0f} s: {what}; last seen: {answer!r}"
        await asyncio.sleep(pause)
