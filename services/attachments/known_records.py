"""What is known of records: told by their events; one that is not known yet is asked for, once, as the caller."""

from dataclasses import dataclass
from typing import Literal

import httpx2
from pydantic import BaseModel, ValidationError

from kit import log
from kit.errors import Unavailable
from kit.mongo import Database, Projection
from services.attachments.store import KNOWN_RECORDS

logger = log.get(__name__)


class KnownRecord(BaseModel):
    """Whose record it is, of which kind, and whether it is there; `version` is the record's."""

    record_id: str
    practitioner_id: str
    kind: str
    version: int
    state: Literal["active", "deleted"] = "active"


class RecordsApi:
    """records' own door."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def ask(self, record_id: str, token: str) -> KnownRecord | None:
        """One call with the token of who wants to know; None when they may not see it. Raises `Unavailable`."""
        path, headers = f"/api/records/records/{record_id}", {"Authorization": f"Bearer {token}"}
        try:
            answer = await self._http.get(path, headers=headers)
            if answer.status_code in (401, 403, 404):
                return None
            return KnownRecord.model_validate(answer.raise_for_status().json())
        except (httpx2.HTTPError, ValidationError, ValueError) as error:
            logger.warning("records could not be asked", error=type(error).__name__)
            raise Unavailable("records") from error


@dataclass(frozen=True)
class KnownRecords:
    """The projection, and who is asked when it has nothing."""

    projection: Projection
    api: RecordsApi

    @classmethod
    def over(cls, database: Database, api: RecordsApi) -> "KnownRecords":
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
        if known is None and (known := await self.api.ask(record_id, token)):
            await self.note(known)
        return known
