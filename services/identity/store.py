"""The collections of identity: practitioners, certificates, challenges, staff, clients, portraits."""

from datetime import datetime
from typing import ClassVar, Literal

from kit.documents import Document
from kit.ids import derived_id
from kit.mongo import Collection, Database, Index, Projection
from services.identity.domain import Delivery, Sex

PRACTITIONERS, CERTIFICATES, CHALLENGES = "practitioners", "certificates", "challenges"
FORGET_CHALLENGES_SECONDS = 30 * 24 * 3600


class Practitioner(Document):
    """A person. What identifies them is sealed; `number_index` finds them by document number, `key` is unique."""

    document_type: str
    key: str
    number_index: str
    number_sealed: str
    name: str
    name_latin: str | None
    sex: Sex
    birth_date: str
    ethnicity: str | None
    nationality: str | None
    address_sealed: str | None
    authority: str | None
    valid_from: str | None
    valid_to: str | None
    long_term: bool
    source: str
    device_id: str | None


class Certificate(Document):
    """A person's digital certificate: one document a person, its versions tell of every phone and revocation."""

    practitioner_id: str
    certificate_no: str
    state: Literal["active", "revoked"]
    phone_index: str
    phone_hint: str
    contact: str | None  # the phone, sealed for notify


class Challenge(Document):
    """A code that was sent. Open: it can still be used, and is the only one of its person."""

    BOOKKEEPING: ClassVar[frozenset[str]] = Document.BOOKKEEPING | {"code_hash", "message"}

    practitioner_id: str
    certificate_id: str
    phone_index: str
    phone_hint: str
    code_hash: str
    message: str | None  # phone and code, sealed for notify; gone when the code is closed
    open: bool
    used: bool = False
    tries_left: int
    expires_at: datetime
    sent_at: datetime
    send_before: datetime
    delivery: Delivery = "requested"
    delivery_at: datetime | None = None


class Staff(Document):
    """A member of staff; `last_step` is the TOTP time step that was used last."""

    BOOKKEEPING: ClassVar[frozenset[str]] = Document.BOOKKEEPING | {"password_hash", "totp_sealed", "last_step"}

    username: str
    password_hash: str
    totp_sealed: str
    roles: list[str]
    last_step: int = 0
    enabled: bool = True


class Client(Document):
    """An API client and what it may do."""

    BOOKKEEPING: ClassVar[frozenset[str]] = Document.BOOKKEEPING | {"secret_hash"}

    client_id: str
    secret_hash: str
    scopes: list[str]
    enabled: bool = True


def certificate_id(practitioner_id: str) -> str:
    """A person's certificate has one id for ever: two can't be issued at once."""
    return derived_id("certificate", practitioner_id)


class Store:
    """All collections of identity."""

    def __init__(self, database: Database) -> None:
        unique_key = Index([("key", 1)], unique=True)
        self.practitioners = Collection(
            database, PRACTITIONERS, Practitioner, [unique_key, Index([("number_index", 1)])]
        )
        self.certificates = Collection(database, CERTIFICATES, Certificate)
        one_open = Index([("practitioner_id", 1)], unique=True, partialFilterExpression={"open": True})
        forgotten = Index([("expires_at", 1)], expireAfterSeconds=FORGET_CHALLENGES_SECONDS)
        self.challenges = Collection(database, CHALLENGES, Challenge, [one_open, forgotten])
        self.staff = Collection(database, "staff", Staff)
        self.clients = Collection(database, "clients", Client)
        self.portraits = Projection(database, "portraits")

    async def prepare(self) -> None:
        """Create the indexes; a readiness check."""
        await self.practitioners.prepare()
        await self.challenges.prepare()

    async def people_with_number(self, number_index: str) -> list[Practitioner]:
        """Everybody who has this document number (of whatever document)."""
        return await self.practitioners.find({"number_index": number_index}, sort=[("_id", 1)], limit=10)

    async def certificate_of(self, practitioner_id: str) -> Certificate | None:
        """The person's certificate, active or revoked."""
        return await self.certificates.get(certificate_id(practitioner_id))

    async def open_challenge(self, practitioner_id: str) -> Challenge | None:
        """The person's one live code, which may have run out meanwhile."""
        return await self.challenges.find_one({"practitioner_id": practitioner_id, "open": True})
