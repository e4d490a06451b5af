"""Request and response bodies of practitioners."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from kit.http.routes import In, Out
from kit.privacy.access_audit import AccessEntry
from services.identity.domain import DocumentNumber, Sex
from services.identity.practitioners.domain import Practitioner
from services.identity.practitioners.identity_documents import DocumentType


class AccessOut(Out):
    """An access to the dossier; `who` is the id of a member of staff or an API client."""

    access_id: str
    at: datetime
    who: str
    role: str
    what: str
    document_id: str
    reason: str

    @classmethod
    def of(cls, access: AccessEntry) -> "AccessOut":
        """From the document."""
        return cls.model_validate({**access.model_dump(), "access_id": access.id, "at": access.created_at})


class PractitionerOut(Out):
    """Basic information (guide §5.1)."""

    practitioner_id: str
    version: int
    document_type: DocumentType
    document_number: str
    former_numbers: list[str]
    name: str
    name_latin: str | None
    sex: Sex
    ethnicity: str | None
    nationality: str | None
    birth_date: date
    address: str | None
    authority: str | None
    valid_from: date | None
    valid_to: date | None
    long_term: bool
    updated_at: datetime


class RegisteredOut(Out):
    """A registered person."""

    practitioner_id: str
    name: str
    document_type: str
    version: int
    updated_at: datetime
    possible_duplicates: int = Field(default=0, description="how many known people may be the new person")


class WarningOut(Out):
    """A warning that does not prevent a registration, for the clerk to confirm."""

    code: Literal["document_expired"]
    message: str


class CandidateOut(Out):
    """A known person who may be the person at the window."""

    practitioner_id: str
    name: str
    birth_date: date
    document_type: DocumentType
    document_hint: str
    registered_at: datetime

    @classmethod
    def of(cls, person: Practitioner, hint: str) -> "CandidateOut":
        """From the document and the masked document number."""
        own = {"practitioner_id": person.id, "document_hint": hint, "registered_at": person.created_at}
        return cls.model_validate({**person.model_dump(), **own})


class CheckOut(Out):
    """The result of a check. `known`: the person with the identity document; `candidates` only if there is none."""

    known: str | None
    warnings: list[WarningOut]
    candidates: list[CandidateOut]


class PersonOut(Out):
    """A person found by their identity document."""

    practitioner_id: str


class LookupIn(In):
    """An identity document; a passport's number is unique only within the country of issue."""

    document_type: DocumentType
    document_number: DocumentNumber
    nationality: str | None = Field(default=None, pattern=r"^[A-Z]{1,3}$")


class LookupsIn(In):
    """Up to 1000 identity documents."""

    documents: list[LookupIn] = Field(min_length=1, max_length=1_000)


class FoundOut(Out):
    """The person with an identity document, or why there is no single one."""

    practitioner_id: str | None
    code: Literal["not_found", "document_ambiguous"] | None

    @classmethod
    def of(cls, people: list[str]) -> "FoundOut":
        """From the ids of everybody with the identity document."""
        if len(people) == 1:
            return cls(practitioner_id=people[0], code=None)
        return cls(practitioner_id=None, code="document_ambiguous" if people else "not_found")
