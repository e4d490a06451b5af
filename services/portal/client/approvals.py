"""Calls of admins to identity about requests that another admin approves."""

from datetime import datetime

from services.portal.client.backend import Backend, CallerContext
from services.portal.client.models import Answer, Page


class Approval(Answer):
    """A request; `own`: it is the caller's."""

    approval_id: str
    asked: str
    username: str
    roles: list[str]
    reason: str
    state: str
    requested_by: str
    own: bool
    requested_at: datetime
    expires_at: datetime
    decided_by: str | None
    decided_at: datetime | None


class Credentials(Answer):
    """Generated credentials, to be handed to their owner."""

    password: str | None
    totp_secret: str | None


class Approved(Approval):
    """An approved request; its credentials are returned only once."""

    credentials: Credentials | None


class ApprovalCalls:
    """Calls to identity. Each may raise `Refused` or `Unavailable`."""

    def __init__(self, backend: Backend, caller: CallerContext) -> None:
        self._backend = backend
        self._caller = caller

    async def page(self, cursor: str) -> Page[Approval]:
        """Requests, newest first."""
        query = {"cursor": cursor} if cursor else {}
        return await self._backend.read(self._caller, "identity", Page[Approval], "GET", "/approvals", params=query)

    async def request(self, asked: str, username: str, roles: list[str], reason: str) -> None:
        """Request a change of an account."""
        body = {"asked": asked, "username": username, "roles": roles, "reason": reason}
        await self._backend.request(self._caller, "identity", "POST", "/approvals", json=body)

    async def approve(self, approval_id: str) -> Approved:
        """Approve a request, which is carried out at once."""
        path = f"/approvals/{approval_id}/approve"
        return await self._backend.read(self._caller, "identity", Approved, "POST", path)

    async def refuse(self, approval_id: str) -> None:
        """Refuse a request, or withdraw one's own."""
        await self._backend.request(self._caller, "identity", "POST", f"/approvals/{approval_id}/refuse")
