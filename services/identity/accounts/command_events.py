"""Security events of commands, passed to the API in MongoDB: a command's output reaches no audit trail or metric."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from kit.core.audit import COMMAND
from kit.mongo import Database, translate_errors
from kit.observability import log
from kit.runtime.periodic import every
from kit.security import security_events

COMMAND_EVENTS = "command_events"
PAUSE_SECONDS = 2.0


class CommandEvents:
    """Commands store events; one of the API's processes records each within seconds."""

    def __init__(self, database: Database) -> None:
        self._events = database[COMMAND_EVENTS]

    async def store(self, events: Sequence[security_events.RecordedEvent]) -> None:
        """Store the events of a command. Raises `Unavailable`."""
        if events:
            with translate_errors():
                await self._events.insert_many([asdict(each) for each in events])

    async def run(self) -> None:
        """Record the stored events; a task of the API."""
        log.bind(caller=COMMAND)
        await every(PAUSE_SECONDS, self._record, "events of commands")

    async def _record(self) -> None:
        while event := await self._take():
            security_events.record(event["event"], event["outcome"], event["cause"], event["subject"], **event["facts"])

    async def _take(self) -> dict[str, Any] | None:
        with translate_errors():
            return await self._events.find_one_and_delete({}, sort=[("_id", 1)])
