"""signature's collections: `forms` that were printed, `signatures` that came back, and what is known of people."""

from kit.files.documents import folder_of
from kit.mongo import NEWEST, Collection, Database, Index
from kit.privacy.access_audit import ACCESS_LOG
from kit.privacy.personal_data import PersonalData
from services.signature.domain import Signature, SignatureSheet, State

FORMS, SIGNATURES, KNOWN_PRACTITIONERS = "forms", "signatures", "known_practitioners"
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
    """Queries over forms."""

    def __init__(self, database: Database) -> None:
        by_person = Index([("practitioner_id", 1), *NEWEST])
        self._collection = Collection(database, FORMS, SignatureSheet, [by_person])
        self.prepare = self._collection.prepare
        self.get = self._collection.get
        self.insert = self._collection.insert
        self.replace = self._collection.replace

    async def newest(self, practitioner_id: str) -> SignatureSheet | None:
        """The form that was made last and is not stale."""
        query = {"practitioner_id": practitioner_id, "state": "valid"}
        found = await self._collection.find(query, sort=list(NEWEST), limit=1)
        return found[0] if found else None

    async def outdated(self, practitioner_id: str, identified: int) -> list[SignatureSheet]:
        """Forms printed before this version of the person that are not stale yet, with their histories."""
        query = {"practitioner_id": practitioner_id, "state": "valid", "practitioner_version": {"$lt": identified}}
        found = await self._collection.find(query, sort=list(NEWEST), limit=MAX_FOUND)
        return [form for each in found if (form := await self.get(each.id))]


class Signatures:
    """Queries over signatures. The index lets a person have one that is being checked."""

    def __init__(self, database: Database) -> None:
        one_checked = Index(
            [("practitioner_id", 1)], unique=True, partialFilterExpression={"state": "checking"}, name="one_checking"
        )
        replaced = Index([("updated_at", 1)], partialFilterExpression={"state": "replaced"}, name="replaced")
        indexes = [replaced, one_checked, Index([("practitioner_id", 1), *NEWEST]), Index([("folder", 1)])]
        self._collection = Collection(database, SIGNATURES, Signature, indexes)
        self.prepare = self._collection.prepare
        self.get = self._collection.get
        self.insert = self._collection.insert
        self.replace = self._collection.replace

    async def of_person(self, practitioner_id: str) -> list[Signature]:
        """Those that were not replaced, newest first."""
        query = {"practitioner_id": practitioner_id, "state": {"$in": list(LIVE)}}
        return await self._collection.find(query, sort=list(NEWEST), limit=MAX_FOUND)

    async def in_folders(self, beginning: str, limit: int) -> list[Signature]:
        """Those that were not replaced and whose folder begins like this."""
        query = {"folder": {"$regex": f"^{beginning}"}, "state": {"$in": list(LIVE)}}
        return await self._collection.find(query, sort=[("folder", 1)], limit=limit)
