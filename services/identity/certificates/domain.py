"""The entity of a digital certificate with its transitions, and the rebinding that waits for a second clerk."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict

from kit.core.documents import Document
from kit.core.ids import derived_id

ReviewCause = Literal["no_card", "looked_up", "too_many"]
"""Why a rebinding needs a second clerk: no card was read recently, the person was looked up by document number since,
or the clerk exceeded the daily limit."""


class PendingRebinding(BaseModel):
    """A phone that is bound if a second clerk confirms it before `until`.

    `by`, `reason`: who requested it and why; `cause`: why it needs a second clerk.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    by: str
    at: datetime
    until: datetime
    reason: str
    cause: ReviewCause
    card_read_at: datetime | None
    looked_up_at: datetime | None
    phone_index: str
    phone_hint: str
    contact: str
    shared_reason: str | None


def certificate_id(practitioner_id: str) -> str:
    """The id of a person's only certificate, so that concurrent requests can't issue two."""
    return derived_id("certificate", practitioner_id)


@dataclass(frozen=True)
class Place:
    """A person's number among those who share a phone, from 0; `shared_reason` is set if others have the phone."""

    number: int
    shared_reason: str | None


@dataclass(frozen=True)
class BoundPhone:
    """A phone as a certificate stores it: `contact` is the phone, encrypted for notify."""

    index: str
    hint: str
    contact: str
    place: Place


class Certificate(Document):
    """A person's digital certificate: one document per person, whose history has every phone and revocation.

    `place`: the person's number among those who share the phone; `shared_reason`: why it may be shared.
    `waiting`: the pending rebinding, which every other change ends.
    """

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {"waiting"}

    practitioner_id: str
    certificate_no: str
    state: Literal["active", "revoked"]
    phone_index: str
    phone_hint: str
    contact: str | None  # the phone, encrypted for notify
    place: int | None = None
    shared_reason: str | None = None
    waiting: PendingRebinding | None = None

    @classmethod
    def issued(cls, practitioner_id: str, number: str, phone: BoundPhone, *, at: datetime, by: str) -> Self:
        """The first certificate of a person."""
        ids = {"id": certificate_id(practitioner_id), "practitioner_id": practitioner_id}
        return cls.first(at=at, by=by, action="issued", **ids, **_active(number), **_phone(phone))

    def issued_again(self, number: str, phone: BoundPhone, *, at: datetime, by: str) -> Self:
        """Issued after a revocation, with a new certificate number."""
        return self.next_version({**_active(number), **_phone(phone)}, at=at, by=by, action="issued")

    def rebound(self, phone: BoundPhone, *, at: datetime, by: str) -> Self:
        """Bound to another phone."""
        return self.next_version(_phone(phone), at=at, by=by, action="rebound")

    def revoked(self, *, at: datetime, by: str) -> Self:
        """Revoked; the encrypted phone is removed."""
        changes = {"state": "revoked", "contact": None, "waiting": None}
        return self.next_version(changes, at=at, by=by, action="revoked")

    def rebinding_requested(self, waiting: PendingRebinding, *, at: datetime, by: str) -> Self:
        """A rebinding waits for a second clerk; it replaces one that waited before."""
        return self.next_version({"waiting": waiting}, at=at, by=by, action="rebinding_requested")

    def rebinding_refused(self, *, at: datetime, by: str) -> Self:
        """The pending rebinding was refused."""
        return self.next_version({"waiting": None}, at=at, by=by, action="rebinding_refused")


def _active(number: str) -> dict[str, object]:
    return {"certificate_no": number, "state": "active"}


def _phone(phone: BoundPhone) -> dict[str, object]:
    """The fields of a bound phone; they end a pending rebinding."""
    return {
        "phone_index": phone.index, "phone_hint": phone.hint, "contact": phone.contact, "place": phone.place.number,
        "shared_reason": phone.place.shared_reason, "waiting": None,
    }  # fmt: skip
