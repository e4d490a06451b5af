"""The projection of records: kept by their events; a missing record is fetched from records' API as the caller."""

from dataclasses import dataclass

from kit.http.service_client import ServiceClient
from kit.mongo import Database, Projection
from services.attachments.domain import KnownRecord
from services.attachments.store import KNOWN_RECORDS


@dataclass(frozen=True)
class KnownRecords:
    """The projection, and the client of records' API."""

    projection: Projection
    api: ServiceClient

    @classmethod
    def over(cls, database: Database, api: ServiceClient) -> "KnownRecords":
        """Make it for the service's database."""
        return cls(Projection(database, KNOWN_RECORDS), api)

    async def note(self, record: KnownRecord) -> None:
        """Store a record's version, unless a newer one is stored or the state is the same, as after most changes."""
        known = await self.get(record.record_id) if record.version > 1 else None
        if known is None or known.state != record.state:
            fields = record.model_dump(exclude={"record_id", "version"})
            await self.projection.put(record.record_id, record.version, fields)

    async def get(self, record_id: str) -> KnownRecord | None:
        """The stored record; None if its event was not consumed yet."""
        found = await self.projection.get(record_id)
        return KnownRecord.model_validate({"record_id": record_id, **found}) if found else None

    async def find(self, record_id: str, token: str) -> KnownRecord | None:
        """The stored record, else the one that records' API returns for the token. Raises `Unavailable`."""
        known = await self.get(record_id)
        path = f"/api/records/records/{record_id}"
        if known is None and (known := await self.api.ask(path, token, KnownRecord)):
            await self.note(known)
        return known
