"""The entity of a practitioner, with its transitions."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict

from kit.core.documents import Document
from services.identity.domain import Sex
from services.identity.practitioners.identity_documents import DocumentType


class Particulars(BaseModel):
    """A registration as it is stored, with document numbers and address encrypted."""

    model_config = ConfigDict(frozen=True)

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
    """A stored portrait. The fields are the document's."""

    folder: str
    portrait_key: str
    portrait_sha256: str
    portrait_came_as: str


class Practitioner(Particulars, Document):
    """A practitioner. Document numbers and address are encrypted.

    `number_indexes`: the blind indexes of all their document numbers, also former ones. `keys`: the unique keys of
    their identity documents, which a renewal does not change. `folder`: the prefix of their portraits' object keys, set
    with the first one; portraits of old releases are outside of it. `card_read_at`: when their card was read, unless
    they were registered by hand since.
    """

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {"folder", "card_read_at"}

    folder: str = ""
    card_read_at: datetime | None = None
    portrait_key: str | None = None  # of the object in the bucket
    portrait_sha256: str | None = None  # of the re-encoded image
    portrait_came_as: str | None = None  # SHA-256 of what the window sent: the same bytes again are no new portrait

    @classmethod
    def registered(
        cls, person_id: str, particulars: Particulars, portrait: Portrait | None = None, *, at: datetime, by: str
    ) -> Self:
        """A person who was not known before."""
        return cls.first(at=at, by=by, action="registered", id=person_id, **_registration(particulars, portrait))

    def read_again(self, particulars: Particulars, portrait: Portrait | None, *, at: datetime, by: str) -> Self:
        """A window registered the same person again; without a new portrait they keep the old one."""
        return self.next_version(_registration(particulars, portrait), at=at, by=by, action="read_again")

    def imported_again(self, particulars: Particulars, *, at: datetime, by: str) -> Self:
        """An import contains the same person again."""
        return self.next_version(_registration(particulars, None), at=at, by=by, action="changed")

    @property
    def original(self) -> str:
        """The object key of the portrait, for the sweeper: it must exist for a person with a folder."""
        return self.portrait_key or ""


def _registration(particulars: Particulars, portrait: Portrait | None) -> dict[str, object]:
    return {**vars(particulars), **(vars(portrait) if portrait else {})}
