"""The access log: accesses to a person's dossier in every service, stored for the person to read."""

from contracts.access import AccessLogged
from kit.mongo import Cursor, Duplicate
from kit.privacy.access_audit import AccessAudit, AccessEntry
from kit.security.tokens import Caller
from services.identity.domain import READ_SCOPE
from services.identity.store import Store


class AccessLog:
    """Stores and lists accesses."""

    def __init__(self, store: Store, audit: AccessAudit) -> None:
        self._store, self._audit = store, audit

    async def store(self, event: AccessLogged) -> None:
        """Store an access; idempotent."""
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
        """A page of the accesses to a person's dossier, newest first, and the cursor of the next page."""
        owner = await self._audit.authorize_read(caller, person, READ_SCOPE, "access_log", person)
        return await self._store.accesses.newest({"practitioner_id": owner}, after, limit)
