"""The HTTP app: `POST /` for the carriers' protocols, the inbox and the behaviour switches for people and tests."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from deploy.local.sms_carrier.behaviour import Behaviour, Behaviours, Switch, TruncatedResponse
from deploy.local.sms_carrier.inbox import Inbox
from deploy.local.sms_carrier.page import inbox_page

GARBAGE = "<html><body><h1>502 Bad Gateway</h1></body></html>"


class Carrier(Protocol):
    """One carrier's wire protocol. All requests go to `POST /`; their headers show which carrier is meant."""

    name: str

    def recognises(self, request: Request) -> bool: ...

    async def answer(self, request: Request, behaviour: Behaviour) -> Response: ...


def create_app(inbox: Inbox, carriers: Sequence[Carrier]) -> Starlette:
    behaviours = Behaviours([carrier.name for carrier in carriers])

    async def send(request: Request) -> Response:
        carrier = next(filter(lambda each: each.recognises(request), carriers), None)
        return await _respond(carrier, request, behaviours.of(carrier.name)) if carrier else _unknown_protocol()

    async def page(request: Request) -> Response:
        return HTMLResponse(inbox_page(inbox.newest(200), behaviours.all()))

    async def messages(request: Request) -> Response:
        phone = request.query_params.get("phone")
        return JSONResponse([asdict(message) for message in inbox.messages(phone)])

    async def behaviour(request: Request) -> Response:
        return JSONResponse({name: now.model_dump() for name, now in behaviours.all().items()})

    async def switch(request: Request) -> Response:
        try:
            behaviours.set(await _switch_of(request))
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


async def _switch_of(request: Request) -> Switch:
    """Parse a switch: JSON from a program, a form from the page."""
    fields: Mapping[str, object] = await request.json() if _json(request) else await request.form()
    return Switch.model_validate({**fields})


def _unknown_protocol() -> Response:
    return JSONResponse({"error": "no carrier has this protocol"}, status_code=400)


async def _respond(carrier: Carrier, request: Request, behaviour: Behaviour) -> Response:
    if behaviour.mode == "hang":
        await asyncio.sleep(behaviour.seconds)
        return TruncatedResponse()
    answer = await carrier.answer(request, behaviour)
    if behaviour.mode == "garbage":
        return HTMLResponse(GARBAGE)
    if behaviour.mode == "cut":
        return TruncatedResponse()
    if behaviour.mode == "delay":
        await asyncio.sleep(behaviour.seconds)
    return answer
