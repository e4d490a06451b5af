"""The document of a person. Methods make each of its versions."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

from kit.core.documents import Document
from services.identity.domain import Sex
from services.identity.practitioners.identity_documents import DocumentType


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

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {"folder", "card_read_at"}

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
