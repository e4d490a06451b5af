"""A lease in the database: of several processes that do the same work, one does it and the others wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial

from kit.core.errors import Unavailable
from kit.core.ids import new_id
from kit.mongo.database import Database, Duplicate, translate_errors
from kit.observability import log
from kit.runtime.periodic import every

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
ASK_SECONDS = 1.0
logger = log.get(__name__)


@asynccontextmanager
async def lease(database: Database, collection: str, name: str, seconds: float) -> AsyncIterator[None]:
    """Wait until no other process holds the lease, and hold it during the block.

    By the server's clock it expires `seconds` after its holder was killed. A holder that was suspended for longer may
    find another one at work: what it protects has to be harmless when two processes do it.
    """
    holder = new_id()
    with suppress(Duplicate), translate_errors():
        await database[collection].insert_one({"_id": name, "holder": None, "until": NEVER})
    take = partial(_take, database, collection, name, holder, seconds)
    waiting = False
    while not await take():
        if not waiting:
            logger.info("waiting for another process", lease=name)
        waiting = True
        await asyncio.sleep(ASK_SECONDS)
    renewal = asyncio.create_task(every(seconds / 3, take, f"lease {name}"))
    try:
        yield
    finally:
        renewal.cancel()
        await asyncio.wait([renewal])
        with suppress(Unavailable), translate_errors():
            await database[collection].update_one({"_id": name, "holder": holder}, {"$set": {"until": NEVER}})


async def _take(database: Database, collection: str, name: str, holder: str, seconds: float) -> bool:
    """Take or renew the lease; False if another process holds it."""
    free = {"$or": [{"$lt": ["$until", "$$NOW"]}, {"$eq": ["$holder", holder]}]}
    until = {"$add": ["$$NOW", int(seconds * 1000)]}
    with translate_errors():
        result = await database[collection].update_one(
            {"_id": name, "$expr": free}, [{"$set": {"holder": holder, "until": until}}]
        )
    return result.matched_count == 1
