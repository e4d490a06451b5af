"""Conflicts: a write that lost a race is decided again from the current version."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from kit.core.errors import Unavailable
from kit.mongo.database import Conflict

T = TypeVar("T")
TRIES = 20


async def retry_on_conflict(
    write: Callable[[], Awaitable[T]], tries: int = TRIES, races: tuple[type[Exception], ...] = (Conflict,)
) -> T:
    """The result of `write`, which reads, decides and writes; it is called again after each conflict.

    `races`: the errors of a conflict; (Conflict, Duplicate) where `write` may also insert unique values. Raises
    `Unavailable` after `tries` conflicts in a row.
    """
    for _ in range(tries):
        with suppress(*races):
            return await write()
    raise Unavailable("a write without a conflict")
