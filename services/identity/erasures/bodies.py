"""Response bodies of erasures."""

from datetime import datetime

from kit.http.routes import Out
from services.identity.erasures.domain import ErasureRequest, ErasureState

REQUEST_ACTIONS = ("requested", "repeated", "erased")
"""The actions that request an erasure; `erased` in early releases, which carried it out at once."""


class ErasureOut(Out):
    """The state of an erasure. `…_by` is a label such as `staff:<id>`.

    `requested_at`: the time of the last of `times` requests; `due_at`: when an approved erasure is carried out.
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
        """Make it from the document with its history."""
        request = erasure.last(*REQUEST_ACTIONS)
        approved = erasure.last("approved") if erasure.state in ("approved", "erased") else None
        return cls(
            practitioner_id=erasure.practitioner_id, state=erasure.state, reason=erasure.reason,
            requested_at=request.at if request else erasure.created_at, requested_by=request.by if request else None,
            times=sum(entry.action in REQUEST_ACTIONS for entry in erasure.history),
            approved_at=approved.at if approved else None, approved_by=approved.by if approved else None,
            due_at=erasure.due_at, stop_reason=erasure.stop_reason,
        )  # fmt: skip


class ErasedOut(Out):
    """Whether a person was erased."""

    erased: bool
