"""Work that is done again and again."""

import asyncio
from collections.abc import Awaitable, Callable

from kit.core.errors import Unavailable
from kit.observability import log

logger = log.get(__name__)


async def every(seconds: float, work: Callable[[], Awaitable[object]], name: str) -> None:
    """Do `work` for ever, with a pause after each time. While a server is unavailable it waits for the next time."""
    while True:
        try:
            await work()
        except Unavailable as error:
            logger.warning("periodic work waits", work=name, error=repr(error))
        await asyncio.sleep(seconds)
