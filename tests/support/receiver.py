"""A receiver of webhooks: a real HTTP server in the test, as well or as badly behaved as a test wants it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.processes import free_port, listens
from tests.support.waiting import eventually

Event = dict[str, Any]
Answer = Callable[[Event], Response]


def taken(_event: Event) -> Response:
    return Response(status_code=204)


def refused(_event: Event) -> Response:
    return Response(status_code=500)


@dataclass(frozen=True)
class Received:
    """One call, and what it was answered."""

    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def event(self) -> Event:
        return dict(json.loads(self.body))

    @property
    def taken(self) -> bool:
        return self.status < 300


@dataclass
class Receiver:
    """Keeps every call in the order of their ends; `answer` may be exchanged at any time."""

    url: str
    answer: Answer = taken
    calls: list[Received] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        body = await request.body()
        response = self.answer(json.loads(body))
        self.calls.append(Received(dict(request.headers), body, response.status_code))
        return response

    def events(self, person: str | None = None) -> list[Event]:
        """Those that were taken, each as often as it was; of one person."""
        found = [call.event for call in self.calls if call.taken]
        return [event for event in found if person is None or event.get("partitionkey") == person]

    async def until(self, enough: Callable[[], bool], what: str, within: float = 40) -> None:
        async def found() -> bool:
            return enough()

        await eventually(found, within, what)


@asynccontextmanager
async def receiving(answer: Answer = taken) -> AsyncIterator[Receiver]:
    """A receiver at a port of its own for as long as the block runs."""
    port = free_port()
    receiver = Receiver(f"http://127.0.0.1:{port}/hook", answer)
    app = Starlette(routes=[Route("/hook", receiver.take, methods=["POST"])])
    config = uvicorn.Config(app, "127.0.0.1", port, log_config=None, access_log=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())  # without `serve`, which takes the signals
    try:
        await eventually(lambda: listens(f"127.0.0.1:{port}"), 10, "the receiver listens")
        yield receiver
    finally:
        server.should_exit = True
        await task
