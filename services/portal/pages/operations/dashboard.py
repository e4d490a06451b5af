"""The operators' page: how everything is, and what is to be done about dead letters."""

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
from services.portal.operations.dead_letters import Action, DeadLetterGroup, grouped_dead_letters, outline, told_headers
from services.portal.session.forms import sentence_of
from services.portal.session.visits import PageContext, staff_with

SHOWN = 50
OperatorDep = Annotated[PageContext, Depends(staff_with("operator"))]
"""An operator, or an admin."""
Group = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,200}$")]
Text = Annotated[str, Query(max_length=1000)]
router = APIRouter()


async def _board(visit: PageContext) -> Dashboard:
    period = await visit.portal.watch.period()
    try:
        return dashboard(period, grouped_dead_letters(await visit.portal.letters.waiting_lately()))
    except Unavailable:
        return dashboard(period, None)


@router.get("/operators")
async def show(visit: OperatorDep, note: str = "") -> Response:
    """Everything."""
    return visit.page("operations/page.html", board=await _board(visit), note=note)


@router.get("/operators/state")
async def state(visit: OperatorDep) -> Response:
    """The part of the page that changes by itself."""
    return visit.page("operations/state.html", board=await _board(visit))


@router.get("/operators/letters/{group}")
async def letters(visit: OperatorDep, group: Group, cause: Text = "", id: Text = "") -> Response:  # noqa: A002
    """The letters of a group that died for one cause; or one of them, by its id."""
    visit.form = await visit.draft() or {}
    return await _letters_page(visit, group, cause, id)


async def _chosen(visit: PageContext, group: str, cause: str, one: str) -> DeadLetterGroup:
    """Raises `NotFound` when there is no such letter (any more)."""
    for pile in grouped_dead_letters(
        letter for letter in await visit.portal.letters.waiting() if letter.group == group
    ):
        mine: Sequence[DeadLetter] = [letter for letter in pile.letters if one in ("", letter.id)]
        if mine and cause in ("", pile.cause):
            return DeadLetterGroup(group, pile.cause, mine)
    raise NotFound(detail="没有找到，可能已被处理")


async def _letters_page(
    visit: PageContext, group: str, cause: str, one: str, error: AppError | None = None
) -> Response:
    pile = await _chosen(visit, group, cause, one)
    shown = [(letter, told_headers(letter), outline(letter.value)) for letter in pile.letters[:SHOWN]]
    return visit.page(
        "operations/letters.html", status=error.status if error else 200, pile=pile, shown=shown, one=one,
        problem=sentence_of(error) if error else "", reason=visit.form.get("reason", ""),
    )  # fmt: skip


@router.post("/operators/letters/{group}")
async def end(visit: OperatorDep, group: Group) -> Response:
    """Replay or drop, with a reason; who did it and why is in the log."""
    form = visit.form
    cause, one, action = form.get("cause", ""), form.get("id", ""), form.get("action", "")
    if action not in get_args(Action):
        return visit.go(f"/operators/letters/{group}?cause={quote(cause)}&id={quote(one)}")
    try:
        pile = await _chosen(visit, group, cause, one)
        who = visit.session.subject if visit.session else ""
        await visit.portal.letters.end(cast(Action, action), pile.letters, who, _reason(form))
    except AppError as error:
        if error.status not in (409, 422):
            raise
        return await _letters_page(visit, group, cause, one, error)
    return await visit.done(f"/operators?note={action}")


def _reason(form: dict[str, str]) -> str:
    reason = read_reason(quote(form.get("reason", "")))
    if not reason:
        raise InvalidFields.one("reason", "required", REQUIRED)
    return reason
