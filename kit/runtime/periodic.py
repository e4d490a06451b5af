"""Periodic tasks."""

import asyncio
from collections.abc import Awaitable, Callable

from kit.core.errors import Unavailable, cause_of
from kit.observability import log

logger = log.get(__name__)


async def every(seconds: float, work: Callable[[], Awaitable[object]], name: str) -> None:
    """Repeat `work` until cancelled, with a pause after each run. `Unavailable` is logged, and ends that run only."""
    while True:
        try:
            await work()
        except Unavailable as error:
            logger.warning("periodic task failed", task=name, error=cause_of(error))
        await asyncio.sleep(seconds)
