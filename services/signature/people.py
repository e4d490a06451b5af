"""What is known of people: which of their versions changed what stands on a form, told by identity's events."""

from collections.abc import Sequence

from kit.core.documents import field_of
from kit.mongo import Database, Projection
from services.signature.domain import Known, known_after
from services.signature.store import KNOWN_PRACTITIONERS


class KnownPeople:
    """The projection."""

    def __init__(self, database: Database) -> None:
        self._projection = Projection(database, KNOWN_PRACTITIONERS)

    async def note(self, practitioner_id: str, version: int, changed: Sequence[str]) -> Known:
        """Keep what identity's event says, unless a newer version is known. Returns what is known now."""
        known = known_after(await self._get(practitioner_id), version, changed)
        await self._projection.put(practitioner_id, known.version, {"identified": known.identified})
        return known

    async def identified(self, practitioner_id: str) -> int:
        """The version since which name and number are what they are; 0 while nothing is known."""
        known = await self._get(practitioner_id)
        return known.identified if known else 0

    async def _get(self, practitioner_id: str) -> Known | None:
        found = await self._projection.get(practitioner_id)
        return Known(field_of(found, "version", int), field_of(found, "identified", int)) if found else None
