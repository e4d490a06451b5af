"""The entity of a dispute, with its transitions."""

from datetime import datetime
from typing import Literal, Self

from kit.core.documents import Document
from services.records.domain import Record

State = Literal["open", "closed"]
Outcome = Literal["corrected", "not_corrected"]
"""Whether the source corrected the record."""


class Dispute(Document):
    """What is wrong in a record, in the words of its person; `record_version`: the record's when it was disputed."""

    practitioner_id: str
    record_id: str
    kind: str
    record_version: int
    text: str
    state: State = "open"
    outcome: Outcome | None = None
    reason: str | None = None
    closed_by: str | None = None
    closed_at: datetime | None = None

    @classmethod
    def opened(cls, dispute_id: str, record: Record, text: str, *, at: datetime, by: str) -> Self:
        """The person disputes the record as it is now."""
        return cls.first(
            at=at, by=by, action="opened", id=dispute_id, practitioner_id=record.practitioner_id, record_id=record.id,
            kind=record.kind, record_version=record.version, text=text,
        )  # fmt: skip

    def closed(self, outcome: Outcome, reason: str, *, at: datetime, by: str) -> Self:
        """A clerk has closed it; the person sees the reason."""
        changes = {"state": "closed", "outcome": outcome, "reason": reason, "closed_by": by, "closed_at": at}
        return self.next_version(changes, at=at, by=by, action="closed")

    def repeats(self, earlier: "Dispute") -> bool:
        """Whether both say the same of the same record."""
        return (self.record_id, self.text) == (earlier.record_id, earlier.text)
