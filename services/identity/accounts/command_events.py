"""Security events of commands, handed to the API: what a command prints is in no log that is kept, and in no metric."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from kit.mongo import Database, translate_errors
from kit.observability import log
from kit.runtime.periodic import every
from kit.security import security_events

COMMAND = "command"
"""Who changes accounts: somebody at the command line."""
COMMAND_EVENTS = "command_events"
PAUSE_SECONDS = 2.0


class CommandEvents:
    """Each event is recorded by one of the API's processes, within seconds."""

    def __init__(self, database: Database) -> None:
        self._events = database[COMMAND_EVENTS]

    async def leave(self, told: Sequence[security_events.RecordedEvent]) -> None:
        """Leave what a command has recorded. Raises `Unavailable`."""
        if told:
            with translate_errors():
                await self._events.insert_many([asdict(each) for each in told])

    async def run(self) -> None:
        """Record what commands leave, for ever: a part of the API."""
        log.bind(caller=COMMAND)
        await every(PAUSE_SECONDS, self._record, "events of commands")

    async def _record(self) -> None:
        while left := await self._take():
            security_events.record(left["event"], left["outcome"], left["cause"], left["subject"], **left["facts"])

    async def _take(self) -> dict[str, Any] | None:
        with translate_errors():
            return await self._events.find_one_and_delete({}, sort=[("_id", 1)])
