"""Disputes at the window: the open ones, and the page of a person on which one is closed."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from kit.core.errors import AppError, NotFound
from kit.http.routes import Id
from services.portal.client.disputes import DisputeCalls
from services.portal.client.models import Dispute
from services.portal.domain import item_of
from services.portal.session.forms import errors_of
from services.portal.session.page_context import PageContext
from services.portal.window.attended_person import AttendedDep, AttendedPerson, ClerkDep

LIST = "/staff/disputes"
TITLES = {"outcome": "处理结果", "reason": "处理说明"}
Cursor = Annotated[str, Query(max_length=200)]
router = APIRouter()


@router.get(LIST)
async def show_all(context: ClerkDep, cursor: Cursor = "", note: str = "") -> Response:
    """The open disputes, oldest first."""
    page = await DisputeCalls(context.portal.backend, context.caller).waiting(cursor)
    kinds = await context.portal.catalogue.kinds()
    return context.render("window/disputes.html", page=page, kinds=kinds, cursor=cursor, note=note)


@router.get("/staff/people/{person}/disputes/{dispute_id}")
async def show(context: ClerkDep, attended: AttendedDep, dispute_id: Id) -> Response:
    """One of them, with the record as it is now, and the form that closes it."""
    return await _page(context, attended, dispute_id, await context.load_draft() or {})


async def _page(
    context: PageContext, attended: AttendedPerson, dispute_id: str, values: Mapping[str, str],
    error: AppError | None = None,
) -> Response:  # fmt: skip
    dispute = await _dispute(attended, dispute_id)
    if dispute.state == "closed":
        return await context.finish(f"{LIST}?note=dispute_over")
    record, kinds = await attended.client.record(dispute.record_id), await context.portal.catalogue.kinds()
    return context.render(
        "window/dispute.html", status=error.status if error else 200, attended=attended,
        current=item_of(record.kind).name, one=dispute, record=record, kind=kinds[record.kind], values=values,
        titles=TITLES, errors=errors_of(error) if error else {}, problem=str(error.detail) if error else "",
    )  # fmt: skip


async def _dispute(attended: AttendedPerson, dispute_id: str) -> Dispute:
    """A dispute of this person. Raises `NotFound` for one of another person, to whom the reason doesn't apply."""
    found = next((one for one in await attended.client.disputes() if one.dispute_id == dispute_id), None)
    if found is None:
        raise NotFound
    return found


@router.post("/staff/people/{person}/disputes/{dispute_id}")
async def close(context: ClerkDep, attended: AttendedDep, dispute_id: Id) -> Response:
    """Close it."""
    await _dispute(attended, dispute_id)
    calls, form = DisputeCalls(context.portal.backend, attended.caller), context.form
    try:
        await calls.close(dispute_id, form.get("outcome", ""), form.get("reason", ""))
    except AppError as error:
        context.raise_session_errors(error)
        return await _page(context, attended, dispute_id, form, error)
    return await context.finish(f"{LIST}?note=dispute_closed")
