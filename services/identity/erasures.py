"""A person is erased when an admin says so; what every service does about it follows from this one document."""

from kit import log, security
from kit.auth import ADMIN, Caller
from kit.clock import Clock
from kit.errors import InvalidFields, NotFound
from kit.mongo import Conflict, Duplicate
from services.identity.sessions import Sessions
from services.identity.store import Erased, Store, erasure_id

logger = log.get(__name__)


class Erasures:
    """Asked for twice it is told twice: everything is looked through again."""

    def __init__(self, store: Store, sessions: Sessions, clock: Clock) -> None:
        self._store, self._sessions, self._clock = store, sessions, clock
        security.begin("", event="erasure_request", outcome="done")

    async def request(self, caller: Caller, person: str) -> Erased:
        """Have a person erased. Raises 403, 422 `reason_required`, `NotFound` where nobody is or was."""
        security.attempt("erasure_request", f"practitioner:{person}")
        caller.require(role=ADMIN)
        if not caller.reason:
            raise InvalidFields.one("X-Access-Reason", "reason_required", "请填写删除该人员全部信息的依据")
        try:
            erased = await self._write(caller, person)
        except (Conflict, Duplicate):  # another admin did it this moment
            return await self.request(caller, person)
        security.record("erasure_request", subject=f"practitioner:{person}")
        await self._sessions.end_all(person, "person_erased")
        logger.warning("erasure requested", practitioner_id=person, by=caller.label)
        return erased

    async def _write(self, caller: Caller, person: str) -> Erased:
        at, by = self._clock.now(), caller.label
        if known := await self._store.erasures.get(erasure_id(person)):
            again = known.following(at=at, by=by, action="erased", reason=caller.reason)
            await self._store.erasures.replace(again)
            return again
        if await self._store.practitioners.get(person) is None:
            raise NotFound
        fields = {"id": erasure_id(person), "practitioner_id": person, "reason": caller.reason}
        erased = Erased.first(at=at, by=by, action="erased", **fields)
        await self._store.erasures.insert(erased)
        return erased
