"""Actions for the audit trail: which versions of a service's documents are published as entries of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from pydantic import Field

from kit.core.clock import rfc3339
from kit.core.documents import PERSON
from kit.core.events import EventData, NewEvent, Publication
from kit.core.ids import new_id

COMMAND = "command"
"""The author of what an operator's command does."""
UNKNOWN = "unknown"
"""The author of a version that a release without authors wrote."""


class ActionRecorded(EventData):
    """Somebody did something that the audit trail keeps. Ids only: no name, number, phone or text that people typed."""

    TYPE: ClassVar[str] = "audit.action.recorded.v1"
    TOPIC: ClassVar[str] = "audit.actions"
    SUBJECT: ClassVar[str] = "document_id"

    document_id: str
    kind: str = Field(description="what the action was done to: certificate, staff, erasure …")
    by: str = Field(description="who did it: staff:<id>, client:<name>, practitioner:<id>, import:<id>, command …")
    details: dict[str, str] = Field(description="facts of this kind, like the roles of an account")

    @classmethod
    def now(cls, kind: str, action: str, *, by: str, about: str, at: datetime, details: Mapping[str, str]) -> NewEvent:
        """The entry of an action without a document; `about`: a person, an account, or what else it concerns."""
        document = {"version": 1, "action": action, "changed": [], "updated_at": at, PERSON: about}
        return cls.of(document, document_id=new_id(), kind=kind, by=by, details=details)


@dataclass(frozen=True)
class Audited:
    """Each version of a document is an entry of this kind; `details`: its fields that the entry shows.

    An entry can never be removed again: `details` must not name a field that an erasure removes. `actions`: only
    versions with these actions are entries, if it is given.
    """

    kind: str
    details: Sequence[str] = ()
    actions: Sequence[str] = ()

    def records(self, document: Mapping[str, object]) -> bool:
        """Whether this version is an entry."""
        return not self.actions or document["action"] in self.actions

    def entry(self, document: Mapping[str, object]) -> NewEvent:
        """The entry of a version. A document that is about no person is about itself."""
        details = {name: as_text(document[name]) for name in self.details if document.get(name) is not None}
        person, author = document.get(PERSON, document["_id"]), document.get("author") or UNKNOWN
        about = {"document_id": document["_id"], PERSON: person, "changed": []}
        return ActionRecorded.of(document, **about, kind=self.kind, by=author, details=details)


def as_text(value: object) -> str:
    """A value as an entry shows it."""
    if isinstance(value, datetime):
        return rfc3339(value if value.tzinfo else value.replace(tzinfo=UTC))  # UTC, as the change stream has it
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def with_audit(publications: Mapping[str, Publication], audited: Mapping[str, Audited]) -> dict[str, Publication]:
    """The publications of a service, with entries for the collections in `audited`, in the same transaction."""
    both = {name: _both(publications.get(name), each) for name, each in audited.items()}
    return {**publications, **both}


def _both(publication: Publication | None, audited: Audited) -> Publication:
    def published(document: Mapping[str, object]) -> list[NewEvent]:
        events = list(publication(document)) if publication else []
        return [*events, *([audited.entry(document)] if audited.records(document) else [])]

    return published
