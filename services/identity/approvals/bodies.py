"""Request and response bodies of requests that need a second admin."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from kit.core.text import Text
from kit.http.routes import In, Out
from kit.security.tokens import Caller
from services.identity.accounts.bodies import HandedOut
from services.identity.approvals.domain import Action, Approval, State

Role = Literal["clerk", "admin", "operator"]


class ApprovalIn(In):
    """What is requested for an account, and why; `roles` count with `create` and `roles` only."""

    asked: Literal["create", "roles", "enable", "reset"]
    username: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")
    roles: list[Role] = Field(default=[], max_length=3)
    reason: Annotated[str, Text(200)]


class ApprovalOut(Out):
    """A request. `expired`: nobody decided it in time. `own`: it is the caller's.

    `requested_by`, `decided_by`: user names, or `command` for a command on the server.
    """

    approval_id: str
    asked: Action
    staff_id: str
    username: str
    roles: list[str]
    reason: str
    state: State | Literal["expired"]
    requested_by: str
    own: bool
    requested_at: datetime
    expires_at: datetime
    decided_by: str | None
    decided_at: datetime | None

    @classmethod
    def of(cls, approval: Approval, caller: Caller, now: datetime) -> "ApprovalOut":
        """From the document."""
        late = approval.state == "waiting" and not approval.is_open(now)
        return cls.model_validate(
            {
                **approval.model_dump(), "approval_id": approval.id, "staff_id": approval.account,
                "state": "expired" if late else approval.state, "requested_by": approval.requester_name,
                "own": approval.requester == caller.label, "requested_at": approval.created_at,
            }
        )  # fmt: skip


class ApprovedOut(ApprovalOut):
    """An approved request; `credentials`: generated ones, to be handed to their owner, returned only once."""

    credentials: HandedOut | None
