"""Who looked at whose file: the looks of every service, kept for the person to see."""

from contracts.access import AccessLogged
from kit.mongo import Cursor, Duplicate
from kit.privacy.access_audit import AccessAudit, AccessEntry
from kit.security.tokens import Caller
from services.identity.domain import READ_SCOPE
from services.identity.store import Store


class AccessLog:
    """Keeps looks, and shows them."""

    def __init__(self, store: Store, looks: AccessAudit) -> None:
        self._store, self._looks = store, looks

    async def note(self, event: AccessLogged) -> None:
        """Keep a look; told twice it is kept once."""
        access = AccessEntry.noted(
            event.access_id, event.practitioner_id, who=event.who, role=event.role, what=event.what,
            document_id=event.document_id, reason=event.reason, at=event.at,
        )  # fmt: skip
        try:
            await self._store.accesses.insert(access)
        except Duplicate:
            return

    async def page(
        self, caller: Caller, person: str, after: Cursor | None, limit: int
    ) -> tuple[list[AccessEntry], Cursor | None]:
        """A page of the looks at a person's file, newest first, and where the next one begins."""
        owner = await self._looks.owner(caller, person, READ_SCOPE, "access_log", person)
        return await self._store.accesses.newest({"practitioner_id": owner}, after, limit)
