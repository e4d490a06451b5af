"""Bodies of requests and answers about erasures."""

from datetime import datetime

from kit.http.routes import Out
from services.identity.erasures.domain import ErasureRequest, ErasureState

ASKED = ("requested", "repeated", "erased")
"""What asks for an erasure; `erased` of earlier versions, which carried it out at once."""


class ErasureOut(Out):
    """How far an erasure is; who did what is a label like `staff:<id>`.

    `requested_at`: when it was asked for last, the `times`-th time; `due_at`: when it is carried out, once approved.
    """

    practitioner_id: str
    state: ErasureState
    reason: str
    requested_at: datetime
    requested_by: str | None
    times: int
    approved_at: datetime | None
    approved_by: str | None
    due_at: datetime | None
    stop_reason: str | None

    @classmethod
    def of(cls, erasure: ErasureRequest) -> "ErasureOut":
        """From the document with its history."""
        asked = erasure.last(*ASKED)
        approved = erasure.last("approved") if erasure.state in ("approved", "erased") else None
        return cls(
            practitioner_id=erasure.practitioner_id, state=erasure.state, reason=erasure.reason,
            requested_at=asked.at if asked else erasure.created_at, requested_by=asked.by if asked else None,
            times=sum(entry.action in ASKED for entry in erasure.history),
            approved_at=approved.at if approved else None, approved_by=approved.by if approved else None,
            due_at=erasure.due_at, stop_reason=erasure.stop_reason,
        )  # fmt: skip


class ErasedOut(Out):
    """Whether a person was erased."""

    erased: bool
