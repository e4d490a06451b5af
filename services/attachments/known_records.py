"""What is known of records: told by their events; one that is not known yet is asked for, once, as the caller."""

from dataclasses import dataclass

from kit.http.service_client import ServiceClient
from kit.mongo import Database, Projection
from services.attachments.domain import KnownRecord
from services.attachments.store import KNOWN_RECORDS


@dataclass(frozen=True)
class KnownRecords:
    """The projection, and who is asked when it has nothing."""

    projection: Projection
    api: ServiceClient

    @classmethod
    def over(cls, database: Database, api: ServiceClient) -> "KnownRecords":
        """In the service's database."""
        return cls(Projection(database, KNOWN_RECORDS), api)

    async def note(self, record: KnownRecord) -> None:
        """Keep what was told, unless it is known already, as after most changes, or something newer is."""
        known = await self.get(record.record_id) if record.version > 1 else None
        if known is None or known.state != record.state:
            fields = record.model_dump(exclude={"record_id", "version"})
            await self.projection.put(record.record_id, record.version, fields)

    async def get(self, record_id: str) -> KnownRecord | None:
        """What is known."""
        found = await self.projection.get(record_id)
        return KnownRecord.model_validate({"record_id": record_id, **found}) if found else None

    async def find(self, record_id: str, token: str) -> KnownRecord | None:
        """What is known, or else what records says to the owner of the token."""
        known = await self.get(record_id)
        path = f"/api/records/records/{record_id}"
        if known is None and (known := await self.api.ask(path, token, KnownRecord)):
            await self.note(known)
        return known
