"""The operators' pages of SMS messages: found by state, looked at, a failed notice sent again."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from kit.core.errors import AppError
from kit.http.routes import Id
from services.portal.client.messages import MessageCalls
from services.portal.pages.operations.dashboard import OperatorDep
from services.portal.session.visits import PageContext
from services.portal.words import MESSAGE_STATES, PURPOSES

Word = Annotated[str, Query(pattern="^[a-z_]{0,40}$")]
Cursor = Annotated[str, Query(max_length=200)]
router = APIRouter()


def _calls(visit: PageContext) -> MessageCalls:
    return MessageCalls(visit.portal.backend, visit.asker)


@router.get("/operators/messages")
async def messages(visit: OperatorDep, state: Word = "failed", purpose: Word = "", cursor: Cursor = "") -> Response:
    """Messages of a state and purpose, newest first."""
    known = state if state in MESSAGE_STATES else "", purpose if purpose in PURPOSES else ""
    page = await _calls(visit).page(*known, cursor)
    return visit.page("operations/messages.html", page=page, state=known[0], purpose=known[1], cursor=cursor)


@router.get("/operators/messages/{message_id}")
async def message(visit: OperatorDep, message_id: Id, note: str = "") -> Response:
    """One message."""
    return await _page(visit, message_id, note)


async def _page(visit: PageContext, message_id: str, note: str = "", error: AppError | None = None) -> Response:
    return visit.page(
        "operations/message.html", status=error.status if error else 200, message=await _calls(visit).one(message_id),
        note=note, problem=error.detail if error else "",
    )  # fmt: skip


@router.get("/operators/messages/{message_id}/retry")
async def back(visit: OperatorDep, message_id: Id) -> Response:
    """Where that form stands."""
    return visit.go(f"/operators/messages/{message_id}")


@router.post("/operators/messages/{message_id}/retry")
async def send_again(visit: OperatorDep, message_id: Id) -> Response:
    """Send a failed notice once more; notify writes down who did it."""
    try:
        await _calls(visit).send_again(message_id)
    except AppError as error:
        if error.status != 409:
            raise
        return await _page(visit, message_id, error=error)
    return visit.go(f"/operators/messages/{message_id}?note=queued")
