"""Routes of notify: messages for operators, receipts from carriers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Query, Request, params

from kit.http.callers import CallerDep, basic_credentials, client_address
from kit.http.paging import After, Page, write_cursor
from kit.http.routes import Id, Limit, Out, StrictRoute
from kit.security.tokens import Unauthorized
from services.notify.domain import Message, Report, State
from services.notify.providers.receipts import ALIYUN_ANSWER, TENCENT_ANSWER, AliyunReceipt, TencentReceipt
from services.notify.receipts import ReceiptAuthorization, Receipts
from services.notify.service import NotifyService

router = APIRouter(prefix="/api/notify", route_class=StrictRoute)


@dataclass(frozen=True)
class ApiDependencies:
    """What the routes call; `authorizations` by carrier."""

    messages: NotifyService
    receipts: Receipts
    authorizations: Mapping[str, ReceiptAuthorization]


async def _services(request: Request) -> ApiDependencies:
    services: ApiDependencies = request.app.state.service
    return services


ApiDep = Annotated[ApiDependencies, Depends(_services)]


class MessageOut(Out):
    """A message as an operator sees it: with a masked phone and without the text."""

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
        """Make it from the document."""
        return cls.model_validate({"message_id": message.id, **message.model_dump()})


@router.get("/messages")
async def list_messages(
    services: ApiDep,
    caller: CallerDep,
    after: After,
    state: State | None = None,
    purpose: Annotated[str | None, Query(max_length=50)] = None,
    limit: Limit = 50,
) -> Page[MessageOut]:
    """Messages, newest first."""
    messages, following = await services.messages.page(caller, state, purpose, after, limit)
    return Page(items=[MessageOut.of(message) for message in messages], next_cursor=write_cursor(following))


@router.get("/messages/{message_id}")
async def get_message(services: ApiDep, caller: CallerDep, message_id: Id) -> MessageOut:
    """One message."""
    return MessageOut.of(await services.messages.get(caller, message_id))


@router.post("/messages/{message_id}/retry", status_code=202)
async def retry_message(services: ApiDep, caller: CallerDep, message_id: Id) -> MessageOut:
    """Send a failed notice again; codes are never sent again."""
    return MessageOut.of(await services.messages.retry(caller, message_id))


class CarrierReceipt(Protocol):
    """A receipt in a carrier's own format."""

    def report(self) -> Report:
        """The receipt in our format."""
        ...


def _only_from(carrier: str) -> params.Depends:
    """Require the carrier's secret: the password of HTTP basic authentication, or `token` in the URL."""

    async def check(services: ApiDep, request: Request, token: Annotated[str, Query(max_length=200)] = "") -> None:
        authorization, given = services.authorizations.get(carrier), basic_credentials(request)
        if authorization is None:
            raise Unauthorized("secret_wrong")
        authorization.check(client_address(request), given[1] if given else token)

    marker: params.Depends = Depends(check)
    return marker


async def _note(services: ApiDependencies, carrier: str, receipts: Sequence[CarrierReceipt]) -> None:
    for receipt in receipts:
        await services.receipts.note(carrier, receipt.report())


@router.post("/receipts/tencent", dependencies=[_only_from("tencent")])
async def tencent_receipts(services: ApiDep, receipts: list[TencentReceipt]) -> dict[str, int | str]:
    """Receive delivery receipts of Tencent Cloud SMS; body and answer have its format."""
    await _note(services, "tencent", receipts)
    return TENCENT_ANSWER


@router.post("/receipts/aliyun", dependencies=[_only_from("aliyun")])
async def aliyun_receipts(services: ApiDep, receipts: list[AliyunReceipt]) -> dict[str, int | str]:
    """Receive delivery receipts of Aliyun SMS; body and answer have its format."""
    await _note(services, "aliyun", receipts)
    return ALIYUN_ANSWER
