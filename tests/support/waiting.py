"""Waiting for what happens soon: asked again and again until a deadline, never slept for."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(found: Callable[[], Awaitable[T]], within: float, what: str, pause: float = 0.05) -> T:
    """The first answer that is not false. Fails, saying `what` did not happen, after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = await found()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within:.0f} s: {what}; last seen: {answer!r}"
        await asyncio.sleep(pause)
