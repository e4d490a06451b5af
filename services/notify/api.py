"""Routes of notify: translate between HTTP and the service, decide nothing."""

from datetime import datetime
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Query, Request

from kit.http import After, CallerDep, Id, Limit, Out, Page, StrictRoute, write_cursor
from services.notify.domain import State
from services.notify.service import NotifyService
from services.notify.store import Message

router = APIRouter(prefix="/api/notify", route_class=StrictRoute)


async def _service(request: Request) -> NotifyService:
    return cast(NotifyService, request.app.state.service)


ServiceDep = Annotated[NotifyService, Depends(_service)]


class MessageOut(Out):
    """A message as an operator sees it: the phone masked, never the text."""

    message_id: str
    purpose: str
    about: str
    phone_hint: str
    state: State
    provider: str | None
    attempts: int
    reason: str | None
    send_before: datetime
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, message: Message) -> "MessageOut":
        """From the document."""
        return cls.model_validate({"message_id": message.id, **message.model_dump()})


@router.get("/messages")
async def list_messages(
    service: ServiceDep,
    caller: CallerDep,
    after: After,
    state: State | None = None,
    purpose: Annotated[str | None, Query(max_length=50)] = None,
    limit: Limit = 50,
) -> Page[MessageOut]:
    """Messages, newest first."""
    messages, following = await service.page(caller, state, purpose, after, limit)
    return Page(items=[MessageOut.of(message) for message in messages], next_cursor=write_cursor(following))


@router.get("/messages/{message_id}")
async def get_message(service: ServiceDep, caller: CallerDep, message_id: Id) -> MessageOut:
    """One message."""
    return MessageOut.of(await service.get(caller, message_id))
