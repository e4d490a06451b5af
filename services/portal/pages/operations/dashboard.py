"""The operators' dashboard, and the pages of dead letters."""

from collections.abc import Sequence
from typing import Annotated, cast, get_args
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from kit.core.errors import AppError, InvalidFields, NotFound, Unavailable
from kit.core.text import REQUIRED
from kit.http.callers import read_reason
from kit.kafka.dead_letters import DeadLetter
from services.portal.operations.dashboard import Dashboard, dashboard
from services.portal.operations.dead_letters import Action, DeadLetterGroup, grouped_dead_letters, outline, safe_headers
from services.portal.session.forms import sentence_of
from services.portal.session.page_context import PageContext, staff_with

SHOWN = 50
OperatorDep = Annotated[PageContext, Depends(staff_with("operator"))]
"""An operator, or an admin."""
Group = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,200}$")]
Text = Annotated[str, Query(max_length=1000)]
router = APIRouter()


async def _dashboard(context: PageContext) -> Dashboard:
    period = await context.portal.monitor.period()
    try:
        return dashboard(period, grouped_dead_letters(await context.portal.dead_letters.cached_unresolved()))
    except Unavailable:
        return dashboard(period, None)


@router.get("/operators")
async def show(context: OperatorDep, note: str = "") -> Response:
    """The whole page."""
    return context.render("operations/dashboard.html", dashboard=await _dashboard(context), note=note)


@router.get("/operators/state")
async def figures(context: OperatorDep) -> Response:
    """The part of the page that is refreshed by script."""
    return context.render("operations/figures.html", dashboard=await _dashboard(context))


@router.get("/operators/letters/{group}")
async def show_dead_letters(context: OperatorDep, group: Group, cause: Text = "", id: Text = "") -> Response:  # noqa: A002
    """Dead letters of a consumer group with one cause, or one of them by its id."""
    context.form = await context.load_draft() or {}
    return await _dead_letters_page(context, group, cause, id)


async def _chosen(context: PageContext, group: str, cause: str, one: str) -> DeadLetterGroup:
    """Dead letters of a consumer group, filtered by cause and id where they are not empty. Raises `NotFound`."""
    unresolved = [letter for letter in await context.portal.dead_letters.unresolved() if letter.group == group]
    for found in grouped_dead_letters(unresolved):
        matching: Sequence[DeadLetter] = [letter for letter in found.dead_letters if one in ("", letter.id)]
        if matching and cause in ("", found.cause):
            return DeadLetterGroup(group, found.cause, matching)
    raise NotFound(detail="没有找到，可能已被处理")


async def _dead_letters_page(
    context: PageContext, group: str, cause: str, one: str, error: AppError | None = None
) -> Response:
    chosen = await _chosen(context, group, cause, one)
    shown = [(letter, safe_headers(letter), outline(letter.value)) for letter in chosen.dead_letters[:SHOWN]]
    return context.render(
        "operations/dead_letters.html", status=error.status if error else 200, chosen=chosen, shown=shown, one=one,
        problem=sentence_of(error) if error else "", reason=context.form.get("reason", ""),
    )  # fmt: skip


@router.post("/operators/letters/{group}")
async def resolve(context: OperatorDep, group: Group) -> Response:
    """Replay or drop dead letters; reason and staff id are logged."""
    form = context.form
    cause = form.get("cause", "")
    one = form.get("id", "")
    action = form.get("action", "")
    if action not in get_args(Action):
        return context.redirect(f"/operators/letters/{group}?cause={quote(cause)}&id={quote(one)}")
    try:
        chosen = await _chosen(context, group, cause, one)
        staff_id = context.session.subject if context.session else ""
        await context.portal.dead_letters.resolve(cast(Action, action), chosen.dead_letters, staff_id, _reason(form))
    except AppError as error:
        if error.status not in (409, 422):
            raise
        return await _dead_letters_page(context, group, cause, one, error)
    return await context.finish(f"/operators?note={action}")


def _reason(form: dict[str, str]) -> str:
    reason = read_reason(quote(form.get("reason", "")))
    if not reason:
        raise InvalidFields.one("reason", "required", REQUIRED)
    return reason
