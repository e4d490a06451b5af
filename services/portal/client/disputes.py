"""Calls of clerks to records about disputes."""

from services.portal.client.backend import Backend, CallerContext
from services.portal.client.models import Dispute, Page


class DisputeCalls:
    """Calls to records. Each may raise `Refused` or `Unavailable`."""

    def __init__(self, backend: Backend, caller: CallerContext) -> None:
        self._backend = backend
        self._caller = caller

    async def waiting(self, cursor: str) -> Page[Dispute]:
        """A page of the open disputes of all people, oldest first."""
        query: dict[str, str | int] = {"state": "open", **({"cursor": cursor} if cursor else {})}
        return await self._backend.read(self._caller, "records", Page[Dispute], "GET", "/disputes", params=query)

    async def close(self, dispute_id: str, outcome: str, reason: str) -> None:
        """Close a dispute. Raises `Refused` 409 `dispute_closed` if another clerk was faster."""
        body = {"outcome": outcome, "reason": reason}
        await self._backend.request(self._caller, "records", "POST", f"/disputes/{dispute_id}/close", json=body)
