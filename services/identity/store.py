"""The collections of identity, their indexes and queries."""

from collections.abc import Iterable
from datetime import datetime

from kit.mongo import NEWEST, Collection, Cursor, Database, Fields, Index
from kit.privacy.access_audit import ACCESS_LOG, AccessEntry
from kit.privacy.personal_data import PersonalData
from kit.security.tokens import ADMIN
from services.identity.accounts.domain import Client, Staff
from services.identity.approvals.domain import Approval
from services.identity.certificates.domain import Certificate, certificate_id
from services.identity.erasures.domain import ErasureRequest, ErasureState
from services.identity.login.domain import Challenge, Device, Purpose, Session
from services.identity.practitioners.domain import Practitioner
from services.identity.practitioners.portrait_folders import portrait_files

PRACTITIONERS = "practitioners"
CERTIFICATES = "certificates"
CHALLENGES = "challenges"
SESSIONS = "sessions"
ACCESSES = "accesses"
ERASURES = "erasures"
STAFF = "staff"
CLIENTS = "clients"
DEVICES = "devices"
APPROVALS = "approvals"
PASSKEY = "passkeys.credential_id"
CHALLENGE_RETENTION_SECONDS = 30 * 24 * 3600
SESSION_RETENTION_SECONDS = 24 * 3600
"""Kept after its expiry, so that a refresh can return why the session ended."""
MAX_SESSIONS = 100
MAX_DEVICES = 20
"""Per person, those used last: a program that does not keep its device token is a new device at each log-in."""
PEOPLE_OF_A_PHONE = 3
MAX_BORN = 5_000
"""The most people born on one day that are compared; a city has far fewer."""

COMPACTED = (PRACTITIONERS, CERTIFICATES, CLIENTS)
"""Published on a compacted topic: the removal of a document needs a tombstone. Other topics expire by time."""

PERSONAL_DATA = (
    PersonalData(CHALLENGES),
    PersonalData(SESSIONS, person="subject", indexed=True),
    PersonalData(DEVICES, indexed=True),
    PersonalData(ACCESSES, indexed=True),
    PersonalData(ACCESS_LOG),
    PersonalData(CERTIFICATES),
    PersonalData(PRACTITIONERS, person="_id", indexed=True, files=portrait_files),
)
"""Personal data in the order of their erasure: log-in first, the person last, so that none is found half erased."""


LAST_CHALLENGE = [("open", -1), ("created_at", -1)]
"""A person's open code comes first, then the newest."""


def of_person(practitioner_id: str, purpose: Purpose, device: str | None) -> Fields:
    """The query of a person's codes for a purpose and device."""
    return {"practitioner_id": practitioner_id, "purpose": purpose, "device": device}


class Store:
    """All collections of identity."""

    def __init__(self, database: Database) -> None:
        unique_key = Index([("keys", 1)], unique=True)
        found_by = [Index([("number_indexes", 1)]), Index([("birth_date", 1), ("_id", 1)]), Index([("folder", 1)])]
        self.practitioners = Collection(database, PRACTITIONERS, Practitioner, [unique_key, *found_by])
        places = {"state": "active", "place": {"$type": "int"}}  # certificates of old releases have none
        one_place = Index([("phone_index", 1), ("place", 1)], unique=True, partialFilterExpression=places)
        waiting = Index([("waiting.id", 1)], partialFilterExpression={"waiting.id": {"$type": "string"}})
        by_phone = [Index([("phone_index", 1)]), one_place, Index([("updated_at", 1)]), waiting]
        self.certificates = Collection(database, CERTIFICATES, Certificate, by_phone)
        same = [("practitioner_id", 1), ("purpose", 1), ("device", 1)]
        one_open = Index(same, unique=True, partialFilterExpression={"open": True})
        last = Index([*same, *LAST_CHALLENGE])
        forgotten = Index([("expires_at", 1)], expireAfterSeconds=CHALLENGE_RETENTION_SECONDS)
        outdated = ["practitioner_id_1", "practitioner_id_1_purpose_1"]
        self.challenges = Collection(database, CHALLENGES, Challenge, [one_open, last, forgotten], outdated=outdated)
        by_subject = Index([("subject", 1)])
        run_out = Index([("expires_at", 1)], expireAfterSeconds=SESSION_RETENTION_SECONDS)
        ended = Index([("updated_at", 1)], partialFilterExpression={"ended": True})
        self.sessions = Collection(database, SESSIONS, Session, [by_subject, run_out, ended])
        by_token = [Index([("token_hash", 1)]), Index([("practitioner_id", 1), ("expires_at", -1)])]
        not_known = Index([("expires_at", -1)], expireAfterSeconds=0)
        self.devices = Collection(database, DEVICES, Device, [*by_token, not_known])
        by_person = Index([("practitioner_id", 1), *NEWEST])
        self.accesses = Collection(database, ACCESSES, AccessEntry, [by_person])
        one_owner = Index([(PASSKEY, 1)], unique=True, partialFilterExpression={PASSKEY: {"$type": "string"}})
        self.staff = Collection(database, STAFF, Staff, [one_owner])
        self.clients = Collection(database, CLIENTS, Client)
        self.approvals = Collection(database, APPROVALS, Approval)
        one_slot = Index([("slot", 1)], unique=True, partialFilterExpression={"slot": {"$type": "string"}})
        self.erasures = Collection(
            database, ERASURES, ErasureRequest, [Index([("state", 1), ("due_at", 1)]), one_slot]
        )  # fmt: skip

    async def prepare(self) -> None:
        """Create the indexes; a readiness check."""
        indexed = (
            self.practitioners, self.certificates, self.challenges, self.sessions, self.devices, self.accesses,
            self.staff, self.erasures,
        )  # fmt: skip
        for collection in indexed:
            await collection.prepare()

    async def people_with_number(self, indexes: Iterable[str]) -> list[Practitioner]:
        """Everybody who has or had an identity document, of any type, with one of these blind indexes."""
        wanted = list(indexes)
        query = {"number_indexes": {"$in": wanted}}
        return await self.practitioners.find(query, sort=[("_id", 1)], limit=10 * len(wanted))

    async def people_born_on(self, day: str) -> list[Practitioner]:
        """Everybody who was born on this day (YYYY-MM-DD)."""
        return await self.practitioners.find({"birth_date": day}, sort=[("_id", 1)], limit=MAX_BORN)

    async def people_by_key(self, keys: Iterable[str]) -> dict[str, Practitioner]:
        """The people with these identity documents, by document key; with histories."""
        found = await self.practitioners.find_with_history({"keys": {"$in": list(keys)}})
        return {key: person for person in found for key in person.keys}

    async def people_with_key(self, keys: Iterable[str]) -> list[Practitioner]:
        """The people with these identity documents: at most one, unless numbers of two people were given."""
        found = await self.practitioners.find({"keys": {"$in": list(keys)}}, sort=[("_id", 1)], limit=2)
        return [person for each in found if (person := await self.practitioners.get(each.id))]

    async def with_folder_prefix(self, beginning: str, limit: int) -> list[Practitioner]:
        """The people whose folder has this prefix; for the sweeper."""
        query = {"folder": {"$regex": f"^{beginning}"}}
        return await self.practitioners.find(query, sort=[("folder", 1)], limit=limit)

    async def sessions_of(self, subject: str, now: datetime, except_id: str | None = None) -> list[Session]:
        """The open sessions of a person or member of staff, newest first."""
        query = {"subject": subject, "ended": False, "expires_at": {"$gt": now}, "_id": {"$ne": except_id}}
        return await self.sessions.find(query, sort=[("created_at", -1)], limit=MAX_SESSIONS)

    async def ended_since(self, since: datetime) -> list[Session]:
        """All sessions that were ended since a time."""
        return await self.sessions.find_with_history({"ended": True, "updated_at": {"$gte": since}})

    async def changed_since(self, since: datetime) -> list[str]:
        """The ids of people and staff whose certificate or account was changed since a time."""
        query = {"updated_at": {"$gte": since}}
        certificates, staff = (
            await self.certificates.find_with_history(query),
            await self.staff.find_with_history(query),
        )
        return [*(each.practitioner_id for each in certificates), *(each.id for each in staff)]

    async def has_admin(self, now: datetime) -> bool:
        """Whether at least one admin can log in."""
        lasting = [{"password_until": None}, {"password_until": {"$gt": now}}]
        return await self.staff.find_one({"roles": ADMIN, "enabled": True, "$or": lasting}) is not None

    async def has_had_admin(self) -> bool:
        """Whether an admin's account exists, enabled or not."""
        return await self.staff.find_one({"roles": ADMIN}) is not None

    async def staff_with_passkey(self, credential_id: str) -> Staff | None:
        """The account with this passkey."""
        return await self.staff.find_one({PASSKEY: credential_id})

    async def unpublished_clients(self) -> list[Client]:
        """API clients that a release before `ClientChanged` created."""
        return await self.clients.find_with_history({"told": {"$ne": True}})

    async def certificate_of(self, practitioner_id: str) -> Certificate | None:
        """The person's certificate, active or revoked."""
        return await self.certificates.get(certificate_id(practitioner_id))

    async def erasures_in(self, *states: ErasureState) -> list[ErasureRequest]:
        """Erasures in these states, with their histories; unbounded for `erased`."""
        return await self.erasures.find_with_history({"state": {"$in": [*states]}})

    async def due_erasures(self, now: datetime) -> list[ErasureRequest]:
        """Approved erasures whose time has come, the longest overdue first."""
        found = await self.erasures.find_with_history({"state": "approved", "due_at": {"$lte": now}})
        return sorted(found, key=lambda each: each.due_at or now)

    async def unproved_erasures(self) -> list[ErasureRequest]:
        """Erasures that a release before proofs existed carried out."""
        return await self.erasures.find_with_history({"proof": None, "state": {"$in": [None, "erased"]}})

    async def slots_of(self, day: str) -> set[str]:
        """The taken slots of a day."""
        found = await self.erasures.find_with_history({"slot": {"$regex": f"^{day}/"}})
        return {str(each.slot) for each in found}

    async def certificate_waiting(self, rebinding_id: str) -> Certificate | None:
        """The certificate with this pending rebinding, which may have expired."""
        return await self.certificates.find_one({"waiting.id": rebinding_id})

    async def certificates_waiting(
        self, now: datetime, after: Cursor | None, limit: int
    ) -> tuple[list[Certificate], Cursor | None]:
        """A page of the certificates with a pending rebinding."""
        query = {"waiting.id": {"$type": "string"}, "waiting.until": {"$gt": now}}
        return await self.certificates.newest(query, after, limit)

    async def bound_to(self, phone_index: str) -> list[Certificate]:
        """The active certificates of a phone."""
        query = {"phone_index": phone_index, "state": "active"}
        return await self.certificates.find(query, sort=[("_id", 1)], limit=PEOPLE_OF_A_PHONE + 1)

    async def devices_with(self, token_hash: str, now: datetime) -> list[Device]:
        """The known devices with this token: one document for each person who logged in there."""
        query = {"token_hash": token_hash, "expires_at": {"$gt": now}, "forgotten": False}
        return await self.devices.find(query, sort=[("expires_at", -1)], limit=MAX_DEVICES)

    async def devices_of(self, practitioner_id: str, now: datetime) -> list[Device]:
        """A person's known devices, last used first."""
        query = {"practitioner_id": practitioner_id, "expires_at": {"$gt": now}, "forgotten": False}
        return await self.devices.find(query, sort=[("expires_at", -1)], limit=2 * MAX_DEVICES)

    async def last_challenge(self, practitioner_id: str, purpose: Purpose, device: str | None) -> Challenge | None:
        """The person's open code for this, which may have expired, or else the newest one."""
        return await self.challenges.find_one(of_person(practitioner_id, purpose, device), sort=LAST_CHALLENGE)
