"""Changes of phone that wait for a second clerk: the list, and the decision on a person's page."""

from fastapi import APIRouter
from starlette.responses import Response

from kit.core.errors import AppError, InvalidFields
from kit.http.routes import Id
from services.portal.client.staff import DECISIONS, StaffCalls
from services.portal.session.page_context import PageContext
from services.portal.window.attended_person import AttendedDep, AttendedPerson, ClerkDep

LIST = "/staff/rebindings"
router = APIRouter()


@router.get(LIST)
async def show_all(context: ClerkDep, note: str = "") -> Response:
    """All that wait, oldest first."""
    waiting = await StaffCalls(context.portal.backend, context.caller).rebindings()
    return context.render("window/rebindings.html", rebindings=waiting, note=note)


@router.get("/staff/people/{person}/rebindings/{rebinding_id}")
async def show(context: ClerkDep, attended: AttendedDep, rebinding_id: Id) -> Response:
    """One of them."""
    try:
        return await _page(context, attended, rebinding_id)
    except AppError as error:
        return _already_decided(context, error)


def _already_decided(context: PageContext, error: AppError) -> Response:
    """Redirect to the list for 404; raises other errors."""
    if error.status != 404:
        raise error
    return context.redirect(f"{LIST}?note=rebinding_over")


async def _page(
    context: PageContext, attended: AttendedPerson, rebinding_id: str, error: AppError | None = None
) -> Response:
    rebinding = await StaffCalls(context.portal.backend, attended.caller).rebinding(attended.id, rebinding_id)
    return context.render(
        "window/rebinding.html", status=error.status if error else 200, attended=attended, current="basic",
        one=rebinding, problem=error.detail if error else "",
    )  # fmt: skip


@router.post("/staff/people/{person}/rebindings/{rebinding_id}")
async def decide(context: ClerkDep, attended: AttendedDep, rebinding_id: Id) -> Response:
    """Confirm or refuse it."""
    calls = StaffCalls(context.portal.backend, attended.caller)
    decision = context.form.get("decision", "")
    try:
        if decision not in DECISIONS:
            raise InvalidFields.one("decision", "required", "请选择确认或拒绝")
        await calls.rebinding(attended.id, rebinding_id)
        await calls.decide(rebinding_id, decision)
    except AppError as error:
        context.raise_session_errors(error)
        return (
            _already_decided(context, error)
            if error.status == 404
            else await _page(context, attended, rebinding_id, error)
        )
    return context.redirect(f"{LIST}?note={DECISIONS[decision]}")
