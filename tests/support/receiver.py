"""A receiver of webhooks: a real HTTP server in the test, with responses of the test's choice."""

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
    """One delivery attempt, and its response."""

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
    """Keeps every attempt in the order in which they end; `answer` can be replaced at any time."""

    url: str
    answer: Answer = taken
    calls: list[Received] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        body = await request.body()
        response = self.answer(json.loads(body))
        self.calls.append(Received(dict(request.headers), body, response.status_code))
        return response

    def events(self, person: str | None = None) -> list[Event]:
        """The accepted events, with repetitions; of one person if given."""
        found = [call.event for call in self.calls if call.taken]
        return [event for event in found if person is None or event.get("partitionkey") == person]

    async def until(self, enough: Callable[[], bool], what: str, within: float = 40) -> None:
        async def found() -> bool:
            return enough()

        await eventually(found, within, what)


@asynccontextmanager
async def receiving(answer: Answer = taken) -> AsyncIterator[Receiver]:
    """Runs a receiver for the length of the block."""
    port = free_port()
    receiver = Receiver(f"http://127.0.0.1:{port}/hook", answer)
    app = Starlette(routes=[Route("/hook", receiver.take, methods=["POST"])])
    config = uvicorn.Config(app, "127.0.0.1", port, log_config=None, access_log=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())  # without `serve`, which installs signal handlers
    try:
        await eventually(lambda: listens(f"127.0.0.1:{port}"), 10, "the receiver listens")
        yield receiver
    finally:
        server.should_exit = True
        await task
