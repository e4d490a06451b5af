"""The collections of the audit trail, their indexes and queries."""

from collections.abc import AsyncIterator, Sequence

from kit.mongo import Collection, Database, Index, NumberedCollection
from services.identity.audit.domain import Head, head_id

AUDIT_TRAIL = "audit_trail"
AUDIT_HEADS = "audit_heads"


class TrailStore:
    """The entries and the heads."""

    def __init__(self, database: Database) -> None:
        once = Index([("event", 1)], unique=True)
        self.entries = NumberedCollection(database, AUDIT_TRAIL, [once, Index([("recorded_at", 1)])])
        self.heads = Collection(database, AUDIT_HEADS, Head)

    async def prepare(self) -> None:
        """Create the indexes; a readiness check."""
        await self.entries.prepare()

    async def known_events(self, events: Sequence[str]) -> set[object]:
        """Those of the events that are in the trail."""
        return await self.entries.known("event", events)

    async def last_head(self) -> Head | None:
        """The newest head."""
        found = await self.heads.find({}, sort=[("_id", -1)], limit=1)
        return found[0] if found else None

    async def head(self, number: int) -> Head | None:
        """A head by its number."""
        return await self.heads.get(head_id(number))

    async def all_heads(self) -> list[Head]:
        """All heads: some 9,000 a year."""
        return await self.heads.find_with_history({})

    def everything(self) -> AsyncIterator[list[dict[str, object]]]:
        """All entries, and whatever else is in their collection."""
        return self.entries.read({})

    def since(self, sequence: int) -> AsyncIterator[list[dict[str, object]]]:
        """The entries from this one on."""
        return self.entries.read({"_id": {"$gte": sequence}})

    async def between(self, begin: str, end: str) -> AsyncIterator[list[dict[str, object]]]:
        """The entries from the first that was recorded at `begin` or later to the last before `end` (RFC 3339)."""
        first, following = await self._first_since(begin), await self._first_since(end)
        numbers = {"$gte": first or 0} | ({"$lt": following} if following is not None else {})
        if first is not None:
            async for batch in self.entries.read({"_id": numbers}):
                yield batch

    async def _first_since(self, moment: str) -> int | None:
        return await self.entries.first_number({"recorded_at": {"$gte": moment}}, "recorded_at")
