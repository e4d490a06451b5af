"""Routes of disputes."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request

from kit.core.text import Text
from kit.http.callers import ACCESS_REASON, CallerDep
from kit.http.paging import After, Page, write_cursor
from kit.http.quotas import counted
from kit.http.routes import Id, In, Limit, Out, PersonId, StrictRoute
from services.records.api import IdempotencyKey
from services.records.disputes.domain import Dispute, Outcome, State
from services.records.disputes.service import DisputeService


class NewDispute(In):
    """What is wrong in the record."""

    text: Annotated[str, Text(500)]


class Closing(In):
    """What became of the dispute, and why; the person sees both."""

    outcome: Outcome
    reason: Annotated[str, Text(500)]


class DisputeOut(Out):
    """A dispute. If the record's version is greater than `record_version`, its source has changed it since."""

    dispute_id: str
    practitioner_id: str
    record_id: str
    kind: str
    record_version: int
    text: str
    state: State
    opened_at: datetime
    outcome: Outcome | None
    reason: str | None
    closed_by: str | None
    closed_at: datetime | None

    @classmethod
    def of(cls, dispute: Dispute) -> "DisputeOut":
        """Make it from the document."""
        return cls(dispute_id=dispute.id, opened_at=dispute.created_at, **dispute.model_dump(include=_SAME_NAMES))


_SAME_NAMES = set(DisputeOut.model_fields) & set(Dispute.model_fields)


async def _service(request: Request) -> DisputeService:
    service: DisputeService = request.app.state.disputes
    return service


ServiceDep = Annotated[DisputeService, Depends(_service)]
router = APIRouter(prefix="/api/records", route_class=StrictRoute)


@router.post("/records/{record_id}/disputes", status_code=201, dependencies=[counted("records")])
async def open_dispute(
    service: ServiceDep, caller: CallerDep, record_id: Id, body: NewDispute, idempotency_key: IdempotencyKey = None
) -> DisputeOut:
    """Dispute a record of one's own that a source keeps; a record has at most one open dispute."""
    return DisputeOut.of(await service.open(caller, record_id, body.text, idempotency_key))


@router.get("/practitioners/{practitioner_id}/disputes", openapi_extra=ACCESS_REASON)
async def list_disputes(
    service: ServiceDep, caller: CallerDep, practitioner_id: PersonId, after: After, limit: Limit = 50
) -> Page[DisputeOut]:
    """A person's disputes, newest first."""
    found, next_cursor = await service.page(caller, practitioner_id, after, limit)
    return Page(items=[DisputeOut.of(each) for each in found], next_cursor=write_cursor(next_cursor))


@router.get("/disputes", openapi_extra=ACCESS_REASON)
async def list_open_disputes(
    service: ServiceDep, caller: CallerDep, after: After, state: Literal["open"] = "open", limit: Limit = 50
) -> Page[DisputeOut]:
    """The open disputes of all people, oldest first."""
    found, next_cursor = await service.waiting(caller, after, limit)
    return Page(items=[DisputeOut.of(each) for each in found], next_cursor=write_cursor(next_cursor))


@router.post("/disputes/{dispute_id}/close", openapi_extra=ACCESS_REASON)
async def close_dispute(service: ServiceDep, caller: CallerDep, dispute_id: Id, body: Closing) -> DisputeOut:
    """Close a dispute with its outcome and a reason."""
    return DisputeOut.of(await service.close(caller, dispute_id, body.outcome, body.reason))
