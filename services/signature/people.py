"""The projection of people: their newest version, and the newest one that changed what a signature sheet shows."""

from collections.abc import Sequence

from kit.core.documents import field_of
from kit.mongo import Database, Projection
from services.signature.domain import Known, known_after
from services.signature.store import KNOWN_PRACTITIONERS


class KnownPeople:
    """Stores and reads the projection."""

    def __init__(self, database: Database) -> None:
        self._projection = Projection(database, KNOWN_PRACTITIONERS)

    async def note(self, practitioner_id: str, version: int, changed: Sequence[str]) -> Known:
        """Store a version from identity's event, unless a newer one is stored. Returns what is stored now."""
        known = known_after(await self._get(practitioner_id), version, changed)
        await self._projection.put(practitioner_id, known.version, {"identified": known.identified})
        return known

    async def identified(self, practitioner_id: str) -> int:
        """The version that last changed name or document number; 0 if no version is stored."""
        known = await self._get(practitioner_id)
        return known.identified if known else 0

    async def _get(self, practitioner_id: str) -> Known | None:
        found = await self._projection.get(practitioner_id)
        return Known(field_of(found, "version", int), field_of(found, "identified", int)) if found else None
