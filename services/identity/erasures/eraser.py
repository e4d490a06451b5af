"""Carries out approved erasures when they are due, and verifies restored ones."""

from datetime import datetime

from kit.core.clock import Clock, shanghai_date
from kit.mongo import Conflict, Duplicate
from kit.observability import log
from kit.runtime.periodic import every
from kit.security import security_events
from kit.security.encryption import constant_time_equal
from services.identity.erasures.domain import ErasureRequest
from services.identity.keys import Keys
from services.identity.login.sessions import Sessions
from services.identity.settings import ErasureSettings
from services.identity.store import Store

BY = "service:identity"
INTERVAL_SECONDS = 1.0
NOT_PROVED, SENTENCE = "not_proved", "恢复备份后无法证实，请重新申请"
logger = log.get(__name__)


class Eraser:
    """A task of the worker. Several workers can run it: each erasure, and each slot of a day, is taken once."""

    def __init__(self, store: Store, keys: Keys, sessions: Sessions, settings: ErasureSettings, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._sessions = sessions
        self._clock = clock
        self._per_day = settings.per_day
        self._proved, self._full_on = False, ""

    async def run(self) -> None:
        """Carry out what is due, every second."""
        security_events.initialise(NOT_PROVED, event="erasure")
        await every(INTERVAL_SECONDS, self._run_once, "erasures")

    async def _run_once(self) -> None:
        await self._store.erasures.prepare()
        await self.check_proofs()
        await self.carry_out()

    async def check_proofs(self) -> None:
        """Once per start: add proofs to erasures of old releases, and confirm or refute restored erasures."""
        if self._proved:
            return
        for erasure in await self._store.unproved_erasures():
            proof = self._keys.erasure_proof(erasure.practitioner_id)
            await self._write(erasure.proved(proof, at=self._clock.now(), by=BY))
        for erasure in await self._store.erasures_in("restored"):
            await self._check(erasure)
        self._proved = True

    async def _check(self, restored: ErasureRequest) -> None:
        person = restored.practitioner_id
        if constant_time_equal(restored.proof or "", self._keys.erasure_proof(person)):
            if await self._write(restored.confirmed(at=self._clock.now(), by=BY)):
                security_events.record("erasure_due", cause="restored", subject=f"practitioner:{person}")
        elif await self._write(restored.refuted(SENTENCE, at=self._clock.now(), by=BY)):
            security_events.record("erasure", "denied", NOT_PROVED, f"practitioner:{person}")

    async def carry_out(self) -> None:
        """Carry out due erasures while the day has free slots; the others are due on the next day, too."""
        for erasure in await self._store.due_erasures(now := self._clock.now()):
            slot = await self._free_slot(now)
            if slot is None:
                return
            await self._carry_out(erasure, slot)

    async def _free_slot(self, now: datetime) -> str | None:
        day = shanghai_date(now).isoformat()
        taken = await self._store.slots_of(day)
        free = next((slot for number in range(self._per_day) if (slot := f"{day}/{number}") not in taken), None)
        if free is None and self._full_on != day:
            self._full_on = day
            logger.warning("daily erasure limit reached", day=day)
        return free

    async def _carry_out(self, erasure: ErasureRequest, slot: str) -> None:
        person = erasure.practitioner_id
        proof = self._keys.erasure_proof(person)
        if await self._write(erasure.carried_out(proof, slot, at=self._clock.now(), by=BY)):
            await self._sessions.end_all(person, "person_erased")
            security_events.record("erasure_due", subject=f"practitioner:{person}")

    async def _write(self, erasure: ErasureRequest) -> bool:
        """False when it was stopped, or another worker took it or its slot, at the same time."""
        try:
            await self._store.erasures.replace(erasure)
        except (Conflict, Duplicate):
            return False
        logger.warning("erasure", action=erasure.action, practitioner_id=erasure.practitioner_id)
        return True
