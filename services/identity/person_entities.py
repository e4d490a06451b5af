"""The documents of a person: who they are, their certificate, their erasure. Methods make each of their versions."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, Self

from kit.core.documents import RESTORED, Document, Entry
from kit.core.ids import derived_id
from services.identity.documents import DocumentType
from services.identity.domain import Sex, Waiting

ErasureState = Literal["requested", "approved", "stopped", "erased", "restored"]


def certificate_id(practitioner_id: str) -> str:
    """A person's certificate has one id for ever: two can't be issued at once."""
    return derived_id("certificate", practitioner_id)


def erasure_id(practitioner_id: str) -> str:
    """One for a person; not their own id, whose key on the topic ends with a tombstone."""
    return derived_id("erasure", practitioner_id)


@dataclass(frozen=True)
class Particulars:
    """What a registration contains, with what identifies the person sealed. The fields are the document's."""

    document_type: DocumentType
    keys: list[str]
    number_indexes: list[str]
    number_sealed: str
    former_numbers_sealed: list[str]
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
    card_read_at: datetime | None


@dataclass(frozen=True)
class Portrait:
    """A portrait that was stored. The fields are the document's."""

    folder: str
    portrait_key: str
    portrait_sha256: str
    portrait_came_as: str


class Practitioner(Document):
    """A person. What identifies them is sealed; `number_indexes` find them by any number they ever had.

    `keys`: document type and the lasting part of each number, unique: a renewed document is the same person.
    `folder`: where their portraits are, from the first one on; those that earlier versions stored lie outside.
    `card_read_at`: when a reader read their card, where they were not registered by hand since.
    """

    BOOKKEEPING: ClassVar[frozenset[str]] = Document.BOOKKEEPING | {"folder", "card_read_at"}

    folder: str = ""
    document_type: DocumentType
    keys: list[str]
    number_indexes: list[str]
    number_sealed: str
    former_numbers_sealed: list[str]
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
    card_read_at: datetime | None = None
    portrait_key: str | None = None  # of the object in the bucket
    portrait_sha256: str | None = None  # of the clean picture, as it is shown
    portrait_came_as: str | None = None  # SHA-256 of what the window sent: the same again is no new picture

    @classmethod
    def registered(
        cls, person_id: str, particulars: Particulars, portrait: Portrait | None = None, *, at: datetime, by: str
    ) -> Self:
        """Somebody who was not on file."""
        return cls.first(at=at, by=by, action="registered", id=person_id, **_registration(particulars, portrait))

    def read_again(self, particulars: Particulars, portrait: Portrait | None, *, at: datetime, by: str) -> Self:
        """A window registered the same person again; without a new portrait they keep theirs."""
        return self.next_version(_registration(particulars, portrait), at=at, by=by, action="read_again")

    def imported_again(self, particulars: Particulars, *, at: datetime, by: str) -> Self:
        """An imported list contains the same person again."""
        return self.next_version(_registration(particulars, None), at=at, by=by, action="changed")

    @property
    def original(self) -> str:
        """The key of the portrait that is shown, which must be there where there is a folder."""
        return self.portrait_key or ""


def _registration(particulars: Particulars, portrait: Portrait | None) -> dict[str, object]:
    return {**vars(particulars), **(vars(portrait) if portrait else {})}


@dataclass(frozen=True)
class Place:
    """The place of a person among those who share a phone; `shared_reason` where somebody else has it, too."""

    number: int
    shared_reason: str | None


@dataclass(frozen=True)
class BoundPhone:
    """A phone that a certificate is bound to: its blind index, its hint, itself sealed for notify, and the place."""

    index: str
    hint: str
    contact: str
    place: Place


class Certificate(Document):
    """A person's digital certificate: one document a person, its versions tell of every phone and revocation.

    `place` among those who share the phone; `shared_reason`: why it was bound although it was somebody else's.
    `waiting` ends with every change.
    """

    BOOKKEEPING: ClassVar[frozenset[str]] = Document.BOOKKEEPING | {"waiting"}

    practitioner_id: str
    certificate_no: str
    state: Literal["active", "revoked"]
    phone_index: str
    phone_hint: str
    contact: str | None  # the phone, sealed for notify
    place: int | None = None
    shared_reason: str | None = None
    waiting: Waiting | None = None

    @classmethod
    def issued(cls, practitioner_id: str, number: str, phone: BoundPhone, *, at: datetime, by: str) -> Self:
        """The first one of a person."""
        identity = {"id": certificate_id(practitioner_id), "practitioner_id": practitioner_id}
        return cls.first(at=at, by=by, action="issued", **identity, **_active(number), **_phone(phone))

    def issued_again(self, number: str, phone: BoundPhone, *, at: datetime, by: str) -> Self:
        """After it was revoked, with a new number."""
        return self.next_version({**_active(number), **_phone(phone)}, at=at, by=by, action="issued")

    def rebound(self, phone: BoundPhone, *, at: datetime, by: str) -> Self:
        """Bound to this phone from now on."""
        return self.next_version(_phone(phone), at=at, by=by, action="rebound")

    def revoked(self, *, at: datetime, by: str) -> Self:
        """Closed; the phone is not kept."""
        closed = {"state": "revoked", "contact": None, "waiting": None}
        return self.next_version(closed, at=at, by=by, action="revoked")

    def rebinding_requested(self, waiting: Waiting, *, at: datetime, by: str) -> Self:
        """A phone waits, in place of one that may wait already."""
        return self.next_version({"waiting": waiting}, at=at, by=by, action="rebinding_requested")

    def rebinding_refused(self, *, at: datetime, by: str) -> Self:
        """No phone waits any more."""
        return self.next_version({"waiting": None}, at=at, by=by, action="rebinding_refused")


def _active(number: str) -> dict[str, object]:
    return {"certificate_no": number, "state": "active"}


def _phone(phone: BoundPhone) -> dict[str, object]:
    """No other phone waits any more."""
    return {
        "phone_index": phone.index, "phone_hint": phone.hint, "contact": phone.contact, "place": phone.place.number,
        "shared_reason": phone.place.shared_reason, "waiting": None,
    }  # fmt: skip


class ErasureRequest(Document):
    """A person who is to be erased everywhere, and on what ground: no more is left of them.

    Those of before say no state: they were carried out at once. `restored`: only the topic knew it, with its `proof`,
    which is the key's word that identity itself had told it. `slot`: which of a day's it was.
    """

    BOOKKEEPING: ClassVar[frozenset[str]] = Document.BOOKKEEPING | {"proof", "slot"}

    practitioner_id: str
    reason: str
    state: ErasureState = "erased"
    stop_reason: str | None = None
    due_at: datetime | None = None
    proof: str | None = None
    slot: str | None = None

    @classmethod
    def requested(cls, practitioner_id: str, reason: str, *, at: datetime, by: str) -> Self:
        """The first request for a person."""
        identity = {"id": erasure_id(practitioner_id), "practitioner_id": practitioner_id}
        return cls.first(at=at, by=by, action="requested", **identity, **_open(reason))

    @classmethod
    def restored(cls, practitioner_id: str, proof: str | None, *, at: datetime, by: str) -> Self:
        """A restored backup knows nothing of it, the topic does."""
        identity = {"id": erasure_id(practitioner_id), "practitioner_id": practitioner_id}
        claimed = {"reason": "restored from the topic", "state": "restored", "proof": proof}
        return cls.first(at=at, by=by, action=RESTORED, **identity, **claimed)

    def requested_again(self, reason: str, *, at: datetime, by: str) -> Self:
        """After it was stopped."""
        return self.next_version(_open(reason), at=at, by=by, action="requested")

    def repeated(self, reason: str, *, at: datetime, by: str) -> Self:
        """After it was carried out: everything is looked through again."""
        return self.next_version({"reason": reason}, at=at, by=by, action="repeated")

    def approved(self, due_at: datetime, *, at: datetime, by: str) -> Self:
        """It is carried out at `due_at`, unless somebody stops it."""
        return self.next_version({"state": "approved", "due_at": due_at}, at=at, by=by, action="approved")

    def stopped(self, reason: str, *, at: datetime, by: str) -> Self:
        """It is not carried out."""
        return self.next_version({"state": "stopped", "stop_reason": reason}, at=at, by=by, action="stopped")

    def proved(self, proof: str, *, at: datetime, by: str) -> Self:
        """One that was carried out by a version that knew no proofs gets its own."""
        return self.next_version({"proof": proof}, at=at, by=by, action="proved")

    def carried_out(self, proof: str, slot: str, *, at: datetime, by: str) -> Self:
        """The person is erased, in a slot of the day."""
        done = {"state": "erased", "proof": proof, "slot": slot}
        return self.next_version(done, at=at, by=by, action="carried_out")

    def confirmed(self, *, at: datetime, by: str) -> Self:
        """The proof of a restored one is genuine: the person was erased."""
        return self.next_version({"state": "erased"}, at=at, by=by, action="carried_out")

    def refuted(self, sentence: str, *, at: datetime, by: str) -> Self:
        """The proof of a restored one is not genuine."""
        refused = {"state": "stopped", "stop_reason": sentence, "proof": None}
        return self.next_version(refused, at=at, by=by, action="stopped")

    def last(self, *actions: str) -> Entry | None:
        """The newest version that one of these actions made."""
        return next((entry for entry in reversed(self.history) if entry.action in actions), None)


def _open(reason: str) -> dict[str, object]:
    return {"reason": reason, "state": "requested", "due_at": None, "stop_reason": None}
