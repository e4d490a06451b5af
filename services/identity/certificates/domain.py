"""The document of a digital certificate, and what waits for a second clerk. Methods make each of its versions."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict

from kit.core.documents import Document
from kit.core.ids import derived_id

Doubtful = Literal["no_card", "looked_up", "too_many"]
"""Why another phone needs a second clerk: no card was read, the person was looked up by number since, or the clerk has
bound many."""


class PendingRebinding(BaseModel):
    """A phone that is bound when a second clerk confirms it before `until`: who asked, why, and why it waits."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    by: str
    at: datetime
    until: datetime
    reason: str
    cause: Doubtful
    card_read_at: datetime | None
    looked_up_at: datetime | None
    phone_index: str
    phone_hint: str
    contact: str
    shared_reason: str | None


def certificate_id(practitioner_id: str) -> str:
    """A person's certificate has one id for ever: two can't be issued at once."""
    return derived_id("certificate", practitioner_id)


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

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {"waiting"}

    practitioner_id: str
    certificate_no: str
    state: Literal["active", "revoked"]
    phone_index: str
    phone_hint: str
    contact: str | None  # the phone, sealed for notify
    place: int | None = None
    shared_reason: str | None = None
    waiting: PendingRebinding | None = None

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

    def rebinding_requested(self, waiting: PendingRebinding, *, at: datetime, by: str) -> Self:
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
