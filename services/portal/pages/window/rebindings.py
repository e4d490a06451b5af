"""Other phones that wait for a second clerk: what waits, and at the person whose certificate it is the decision."""

from fastapi import APIRouter
from starlette.responses import Response

from kit.core.errors import AppError, InvalidFields
from kit.http.routes import Id
from services.portal.client.staff import DECISIONS, StaffCalls
from services.portal.session.visits import PageContext
from services.portal.window.attending import AttendedDep, AttendedPerson, ClerkDep

LIST = "/staff/rebindings"
router = APIRouter()


@router.get(LIST)
async def show_all(visit: ClerkDep, note: str = "") -> Response:
    """What waits, the oldest first."""
    waiting = await StaffCalls(visit.portal.backend, visit.asker).rebindings()
    return visit.page("window/rebindings.html", rebindings=waiting, note=note)


@router.get("/staff/people/{person}/rebindings/{rebinding_id}")
async def show(visit: ClerkDep, who: AttendedDep, rebinding_id: Id) -> Response:
    """One of them."""
    try:
        return await _page(visit, who, rebinding_id)
    except AppError as error:
        return _over(visit, error)


def _over(visit: PageContext, error: AppError) -> Response:
    """On to those that still wait. Raises what is another error."""
    if error.status != 404:
        raise error
    return visit.go(f"{LIST}?note=rebinding_over")


async def _page(visit: PageContext, who: AttendedPerson, rebinding_id: str, error: AppError | None = None) -> Response:
    rebinding = await StaffCalls(visit.portal.backend, who.asker).rebinding(who.id, rebinding_id)
    return visit.page(
        "window/rebinding.html", status=error.status if error else 200, who=who, here="basic", one=rebinding,
        problem=error.detail if error else "",
    )  # fmt: skip


@router.post("/staff/people/{person}/rebindings/{rebinding_id}")
async def decide(visit: ClerkDep, who: AttendedDep, rebinding_id: Id) -> Response:
    """Confirm or refuse it."""
    calls, decision = StaffCalls(visit.portal.backend, who.asker), visit.form.get("decision", "")
    try:
        if decision not in DECISIONS:
            raise InvalidFields.one("decision", "required", "请选择确认或拒绝")
        await calls.rebinding(who.id, rebinding_id)
        await calls.decide(rebinding_id, decision)
    except AppError as error:
        visit.still_there(error)
        return _over(visit, error) if error.status == 404 else await _page(visit, who, rebinding_id, error)
    return visit.go(f"{LIST}?note={DECISIONS[decision]}")
