"""The writer of the audit trail: entries are appended in batches, each event once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from kit.core.clock import Clock
from kit.mongo import Duplicate
from services.identity import metrics
from services.identity.audit.domain import Action, Entry, chained
from services.identity.audit.store import TrailStore


@dataclass(frozen=True)
class _Append:
    """An action to be appended, and the future that its caller awaits."""

    action: Action
    done: asyncio.Future[None]

    def finish(self, error: Exception | None) -> None:
        if self.done.done():  # its caller no longer waits
            return
        if error:
            self.done.set_exception(error)
        else:
            self.done.set_result(None)


class AuditTrail:
    """Appends actions. Several processes may append: of two that write the same number one reads again."""

    def __init__(self, store: TrailStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._last: Entry | None = None
        self._waiting: list[_Append] = []
        self._writing: asyncio.Task[None] | None = None

    async def append(self, action: Action) -> None:
        """Append an action unless its event is in the trail. Actions that come during a write share the next one."""
        append = _Append(action, asyncio.get_running_loop().create_future())
        self._waiting.append(append)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await append.done

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            failed: Exception | None = None
            try:
                await self._append({each.action.event: each.action for each in batch})
            except Exception as error:
                failed = error
            for each in batch:
                each.finish(failed)

    async def _append(self, actions: dict[str, Action]) -> None:
        """Append what is not in the trail, by event. After `Duplicate` some may be: of this batch, or by another.

        Without its indexes, which a restored database lacks, the trail would take an event twice.
        """
        await self._store.prepare()
        while actions:
            last = self._last or await self._store.entries.last()
            entries, self._last = chained(list(actions.values()), last, self._clock.now()), None
            try:
                await self._store.entries.append(entries)
            except Duplicate:
                actions = await self._missing(actions)
            else:
                self._note(entries)
                return

    def _note(self, entries: Sequence[Entry]) -> None:
        self._last = entries[-1]
        metrics.audit_entries.inc(len(entries))

    async def _missing(self, actions: dict[str, Action]) -> dict[str, Action]:
        known = await self._store.known_events(list(actions))
        return {event: action for event, action in actions.items() if event not in known}
