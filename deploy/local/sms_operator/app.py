"""The operators' doors: `POST /` for their protocols, the inbox and the switches for people and tests."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from deploy.local.sms_operator.behaviour import Behaviour, Behaviours, Switch, TruncatedResponse
from deploy.local.sms_operator.inbox import Inbox
from deploy.local.sms_operator.page import inbox_page

GARBAGE = "<html><body><h1>502 Bad Gateway</h1></body></html>"


class Carrier(Protocol):
    """One operator's wire protocol. All of them post to `/`; their headers tell them apart."""

    name: str

    def recognises(self, request: Request) -> bool: ...

    async def answer(self, request: Request, behaviour: Behaviour) -> Response: ...


def create_app(inbox: Inbox, operators: Sequence[Carrier]) -> Starlette:
    behaviours = Behaviours([operator.name for operator in operators])

    async def send(request: Request) -> Response:
        meant = next(filter(lambda operator: operator.recognises(request), operators), None)
        return await _behaving(meant, request, behaviours.of(meant.name)) if meant else _nobody()

    async def page(request: Request) -> Response:
        return HTMLResponse(inbox_page(inbox.newest(200), behaviours.all()))

    async def messages(request: Request) -> Response:
        phone = request.query_params.get("phone")
        return JSONResponse([asdict(message) for message in inbox.messages(phone)])

    async def behaviour(request: Request) -> Response:
        return JSONResponse({name: now.model_dump() for name, now in behaviours.all().items()})

    async def switch(request: Request) -> Response:
        try:
            behaviours.set(await _asked(request))
        except (ValueError, KeyError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        return await behaviour(request) if _json(request) else RedirectResponse("/", 303)

    return Starlette(
        routes=[
            Route("/", send, methods=["POST"]),
            Route("/", page, methods=["GET"]),
            Route("/inbox.json", messages, methods=["GET"]),
            Route("/behaviour", behaviour, methods=["GET"]),
            Route("/behaviour", switch, methods=["POST"]),
        ]
    )


def _json(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/json")


async def _asked(request: Request) -> Switch:
    """From a program as JSON, from the page as a form."""
    asked: Mapping[str, object] = await request.json() if _json(request) else await request.form()
    return Switch.model_validate({**asked})


def _nobody() -> Response:
    return JSONResponse({"error": "no operator speaks like this"}, status_code=400)


async def _behaving(operator: Carrier, request: Request, behaviour: Behaviour) -> Response:
    if behaviour.mode == "hang":
        await asyncio.sleep(behaviour.seconds)
        return TruncatedResponse()
    answer = await operator.answer(request, behaviour)
    if behaviour.mode == "garbage":
        return HTMLResponse(GARBAGE)
    if behaviour.mode == "cut":
        return TruncatedResponse()
    if behaviour.mode == "delay":
        await asyncio.sleep(behaviour.seconds)
    return answer
