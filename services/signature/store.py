"""signature's collections: `forms` (signature sheets), `signatures` (their scans), `known_practitioners`."""

from kit.files.documents import folder_of
from kit.mongo import NEWEST, Collection, Database, Index
from kit.privacy.access_audit import ACCESS_LOG
from kit.privacy.personal_data import PersonalData
from services.signature.domain import Signature, SignatureSheet, State

FORMS = "forms"
SIGNATURES = "signatures"
KNOWN_PRACTITIONERS = "known_practitioners"
LIVE: tuple[State, ...] = ("checking", "accepted", "refused")
MAX_FOUND = 100
COMPACTED = (FORMS, SIGNATURES)
PERSONAL_DATA = (
    PersonalData(SIGNATURES, indexed=True, files=folder_of),
    PersonalData(FORMS, indexed=True),
    PersonalData(KNOWN_PRACTITIONERS, person="_id", indexed=True),
    PersonalData(ACCESS_LOG),
)


class SignatureSheets:
    """Queries over signature sheets."""

    def __init__(self, database: Database) -> None:
        by_person = Index([("practitioner_id", 1), *NEWEST])
        self._collection = Collection(database, FORMS, SignatureSheet, [by_person])
        self.prepare = self._collection.prepare
        self.get = self._collection.get
        self.insert = self._collection.insert
        self.replace = self._collection.replace

    async def newest(self, practitioner_id: str) -> SignatureSheet | None:
        """The newest sheet that is not stale."""
        query = {"practitioner_id": practitioner_id, "state": "valid"}
        found = await self._collection.find(query, sort=list(NEWEST), limit=1)
        return found[0] if found else None

    async def outdated(self, practitioner_id: str, identified: int) -> list[SignatureSheet]:
        """The sheets made before this version of the person that are not stale yet, with their histories."""
        query = {"practitioner_id": practitioner_id, "state": "valid", "practitioner_version": {"$lt": identified}}
        found = await self._collection.find(query, sort=list(NEWEST), limit=MAX_FOUND)
        return [sheet for each in found if (sheet := await self.get(each.id))]


class Signatures:
    """Queries over signatures; a unique index allows one signature per person that is being checked."""

    def __init__(self, database: Database) -> None:
        one_checking = Index(
            [("practitioner_id", 1)], unique=True, partialFilterExpression={"state": "checking"}, name="one_checking"
        )
        replaced = Index([("updated_at", 1)], partialFilterExpression={"state": "replaced"}, name="replaced")
        indexes = [replaced, one_checking, Index([("practitioner_id", 1), *NEWEST]), Index([("folder", 1)])]
        self._collection = Collection(database, SIGNATURES, Signature, indexes)
        self.prepare = self._collection.prepare
        self.get = self._collection.get
        self.insert = self._collection.insert
        self.replace = self._collection.replace

    async def of_person(self, practitioner_id: str) -> list[Signature]:
        """The signatures that were not replaced, newest first."""
        query = {"practitioner_id": practitioner_id, "state": {"$in": list(LIVE)}}
        return await self._collection.find(query, sort=list(NEWEST), limit=MAX_FOUND)

    async def with_folder_prefix(self, prefix: str, limit: int) -> list[Signature]:
        """The signatures that were not replaced and whose folder starts with `prefix`."""
        query = {"folder": {"$regex": f"^{prefix}"}, "state": {"$in": list(LIVE)}}
        return await self._collection.find(query, sort=[("folder", 1)], limit=limit)
