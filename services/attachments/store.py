"""attachments' collections: `attachments`, one document a scan; `known_records`, the projection of records."""

from kit.files.documents import folder_of
from kit.mongo import Collection, Database, Index
from kit.privacy.access_audit import ACCESS_LOG
from kit.privacy.personal_data import PersonalData
from services.attachments.domain import LIVE, Attachment

COLLECTION = "attachments"
KNOWN_RECORDS = "known_records"
COMPACTED = (COLLECTION,)
PERSONAL_DATA = (PersonalData(COLLECTION, files=folder_of), PersonalData(KNOWN_RECORDS), PersonalData(ACCESS_LOG))


class Attachments:
    """Queries over attachments; a unique index allows one attachment per record that is not deleted."""

    def __init__(self, database: Database) -> None:
        one_live = Index(
            [("record_id", 1)], unique=True, partialFilterExpression={"state": {"$in": list(LIVE)}}, name="one_live"
        )
        deleted = Index([("updated_at", 1)], partialFilterExpression={"state": "deleted"}, name="deleted")
        waiting = Index([("practitioner_id", 1)], partialFilterExpression={"state": "checking"}, name="waiting")
        indexes = [deleted, waiting, one_live, Index([("sha256", 1)]), Index([("folder", 1)])]
        self._collection = Collection(database, COLLECTION, Attachment, indexes)
        self.prepare = self._collection.prepare
        self.insert = self._collection.insert
        self.replace = self._collection.replace
        self.any_state = self._collection.get

    async def get(self, attachment_id: str) -> Attachment | None:
        """The attachment, unless it is deleted."""
        return await self._collection.find_one({"_id": attachment_id, "state": {"$in": list(LIVE)}})

    async def of_record(self, record_id: str) -> Attachment | None:
        """The record's attachment, unless it is deleted."""
        return await self._collection.find_one({"record_id": record_id, "state": {"$in": list(LIVE)}})

    async def waiting(self, practitioner_id: str, limit: int) -> int:
        """How many of a person's scans wait for their check, `limit` at most."""
        query = {"practitioner_id": practitioner_id, "state": "checking"}
        return len(await self._collection.find(query, sort=[("practitioner_id", 1)], limit=limit))

    async def used_by_another(self, sha256: str, practitioner_id: str) -> bool:
        """Whether somebody else ever uploaded the same file."""
        query = {"sha256": sha256, "practitioner_id": {"$ne": practitioner_id}}
        return await self._collection.find_one(query) is not None

    async def with_folder_prefix(self, prefix: str, limit: int) -> list[Attachment]:
        """The attachments that are not deleted and whose folder starts with `prefix`."""
        query = {"folder": {"$regex": f"^{prefix}"}, "state": {"$in": list(LIVE)}}
        return await self._collection.find(query, sort=[("folder", 1)], limit=limit)
