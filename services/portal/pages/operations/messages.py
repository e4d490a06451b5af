"""The operators' pages of SMS messages: list, details, resend."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from kit.core.errors import AppError
from kit.http.routes import Id
from services.portal.client.messages import MessageCalls
from services.portal.pages.operations.dashboard import OperatorDep
from services.portal.session.page_context import PageContext
from services.portal.wording import MESSAGE_STATES, PURPOSES

Word = Annotated[str, Query(pattern="^[a-z_]{0,40}$")]
Cursor = Annotated[str, Query(max_length=200)]
router = APIRouter()


def _calls(context: PageContext) -> MessageCalls:
    return MessageCalls(context.portal.backend, context.caller)


@router.get("/operators/messages")
async def messages(context: OperatorDep, state: Word = "failed", purpose: Word = "", cursor: Cursor = "") -> Response:
    """Messages of a state and purpose, newest first."""
    filters = state if state in MESSAGE_STATES else "", purpose if purpose in PURPOSES else ""
    page = await _calls(context).page(*filters, cursor)
    return context.render("operations/messages.html", page=page, state=filters[0], purpose=filters[1], cursor=cursor)


@router.get("/operators/messages/{message_id}")
async def message(context: OperatorDep, message_id: Id, note: str = "") -> Response:
    """One message."""
    return await _page(context, message_id, note)


async def _page(context: PageContext, message_id: str, note: str = "", error: AppError | None = None) -> Response:
    return context.render(
        "operations/message.html", status=error.status if error else 200, message=await _calls(context).one(message_id),
        note=note, problem=error.detail if error else "",
    )  # fmt: skip


@router.get("/operators/messages/{message_id}/retry")
async def back(context: OperatorDep, message_id: Id) -> Response:
    """The page with the form, if its address is opened."""
    return context.redirect(f"/operators/messages/{message_id}")


@router.post("/operators/messages/{message_id}/retry")
async def resend(context: OperatorDep, message_id: Id) -> Response:
    """Resend a failed message; notify logs who did it."""
    try:
        await _calls(context).resend(message_id)
    except AppError as error:
        if error.status != 409:
            raise
        return await _page(context, message_id, error=error)
    return context.redirect(f"/operators/messages/{message_id}?note=queued")
