"""The operator's doors: `POST /` for the operators' protocols, the inbox for people and tests."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from deploy.local.sms_operator.inbox import Inbox
from deploy.local.sms_operator.page import inbox_page


class Operator(Protocol):
    """One operator's wire protocol. All of them post to `/`; their headers tell them apart."""

    def recognises(self, request: Request) -> bool: ...

    async def answer(self, request: Request) -> Response: ...


def create_app(inbox: Inbox, operators: Sequence[Operator]) -> Starlette:
    async def send(request: Request) -> Response:
        for operator in operators:
            if operator.recognises(request):
                return await operator.answer(request)
        return JSONResponse({"error": "no operator speaks like this"}, status_code=400)

    async def page(request: Request) -> Response:
        return HTMLResponse(inbox_page(inbox.newest(200)))

    async def messages(request: Request) -> Response:
        phone = request.query_params.get("phone")
        return JSONResponse([asdict(message) for message in inbox.messages(phone)])

    return Starlette(
        routes=[
            Route("/", send, methods=["POST"]),
            Route("/", page, methods=["GET"]),
            Route("/inbox.json", messages, methods=["GET"]),
        ]
    )
