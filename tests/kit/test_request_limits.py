"""Limits of a request over real connections: a slow client is disconnected in time and takes no other's place."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest
import uvicorn
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from kit.core import errors
from kit.http import deadlines
from kit.http import errors as http_errors
from kit.http.admission import Admission, Priority
from kit.http.app import new_app
from kit.http.request_limits import Allowance, RequestLimits
from kit.settings import HttpSettings, ProcessSettings, RedisSettings
from tests.support.processes import free_port

SECONDS, RATE = 0.4, 2_000
RETRY_AFTER = rb"retry-after: [1-5]\r\n"
PIECE, PIECES = 64 * 1024, 600
router = APIRouter()


@router.post("/length")
async def length(request: Request) -> int:
    return len(await request.body())


@router.get("/long")
@router.get("/patient/long")
async def long() -> str:
    await asyncio.sleep(SECONDS * 1.5)
    return "done"


@router.get("/pieces")
async def pieces() -> StreamingResponse:
    async def made() -> AsyncIterator[bytes]:
        for _ in range(PIECES):
            yield bytes(PIECE)

    return StreamingResponse(made())


@router.get("/fine")
async def fine() -> Response:
    return Response("fine")


@dataclass
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()

    async def answer(self) -> bytes:
        """The whole response, until the connection is closed."""
        async with asyncio.timeout(10):
            return await self.reader.read(-1)


Connect = Callable[[], AbstractAsyncContextManager[Connection]]


@asynccontextmanager
async def serving(**limits: int) -> AsyncIterator[Connect]:
    limits = {"least_bytes_per_second": RATE} | limits
    http = HttpSettings(timeout_seconds=SECONDS, port=free_port(), **limits)
    app = new_app("test", ProcessSettings(environment="local", redis=RedisSettings(url="redis://none"), http=http))
    app.include_router(router)
    app.state.allowances["/patient/"] = Allowance(1_000, SECONDS * 20)
    http_errors.install(app)
    server = uvicorn.Server(uvicorn.Config(app, port=http.port, lifespan="off", log_config=None))
    running = asyncio.create_task(server.serve())

    @asynccontextmanager
    async def connected() -> AsyncIterator[Connection]:
        reader, writer = await asyncio.open_connection("127.0.0.1", http.port, limit=2**16)
        try:
            yield Connection(reader, writer)
        finally:
            writer.transport.abort()

    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield connected
    finally:
        server.should_exit = server.force_exit = True
        await running


def post(size: int) -> bytes:
    return b"POST /length HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size


def get(path: bytes) -> bytes:
    return b"GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n" % path


@pytest.mark.parametrize("sent", [0, 50_000])
async def test_a_stalled_body_times_out_however_much_was_sent(sent: int) -> None:
    async with serving() as connect, connect() as slow:
        began = asyncio.get_running_loop().time()
        await slow.send(post(100_000) + bytes(sent))
        answer = await slow.answer()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in answer
    assert asyncio.get_running_loop().time() - began < SECONDS * 8


async def test_a_trickled_body_times_out() -> None:
    async with serving() as connect, connect() as slow:
        status = asyncio.create_task(slow.reader.readexactly(len(b"HTTP/1.1 408 ")))
        await slow.send(post(100_000))
        while not status.done():  # a byte sent after the response would break the connection
            await slow.send(b"x")
            await asyncio.sleep(SECONDS / 10)
        assert status.result() == b"HTTP/1.1 408 "


async def test_a_steady_upload_may_take_long() -> None:
    pieces = 8
    async with serving() as connect, connect() as steady:
        await steady.send(post(pieces * RATE))
        for _ in range(pieces):
            await asyncio.sleep(SECONDS / 3)
            await steady.send(bytes(RATE))
        answer = await steady.answer()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"%d" % (pieces * RATE))


async def test_a_response_starts_in_time_unless_its_path_allows_more() -> None:
    async with serving() as connect, connect() as impatient, connect() as patient:
        await impatient.send(get(b"/long"))
        await patient.send(get(b"/patient/long"))
        cut, complete = await asyncio.gather(impatient.answer(), patient.answer())
    assert cut.startswith(b"HTTP/1.1 503 ")
    assert re.search(RETRY_AFTER, cut)
    assert complete.endswith(b'"done"')


async def test_a_client_that_does_not_read_is_disconnected_and_a_reader_gets_everything() -> None:
    async with serving(least_bytes_per_second=10 * PIECE) as connect, connect() as lazy, connect() as reading:
        await lazy.send(get(b"/pieces"))
        await reading.send(get(b"/pieces"))
        assert len(await reading.answer()) > PIECE * PIECES
        await asyncio.sleep(SECONDS * 2)
        assert PIECE < len(await lazy.answer()) < PIECE * PIECES


async def test_a_process_limits_concurrent_requests_and_slow_uploads_do_not_count() -> None:
    async with serving(concurrency=2) as connect, connect() as one, connect() as two, connect() as three:
        for slow in (one, two):
            await slow.send(post(100_000))
        await three.send(get(b"/fine"))
        assert (await three.answer()).endswith(b"fine")
        async with connect() as four, connect() as five, connect() as six:
            for busy in (four, five):
                await busy.send(get(b"/patient/long"))
            await asyncio.sleep(0.05)
            await six.send(get(b"/fine"))
            refused = await six.answer()
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert re.search(RETRY_AFTER, refused)
            assert (await four.answer()).endswith(b'"done"')


async def test_nobody_works_longer_on_a_request_than_its_caller_waits() -> None:
    async with serving() as connect, connect() as hurried, connect() as wrong:
        began = asyncio.get_running_loop().time()
        await hurried.send(get(b"/patient/long").replace(b"\r\n", b"\r\nX-Timeout-Ms: 50\r\n", 1))
        assert (await hurried.answer()).startswith(b"HTTP/1.1 503 ")
        assert asyncio.get_running_loop().time() - began < SECONDS * 1.5
        await wrong.send(get(b"/fine").replace(b"\r\n", b"\r\nX-Timeout-Ms: -5e\r\n", 1))
        assert (await wrong.answer()).endswith(b"fine")


async def test_a_call_says_how_long_its_caller_still_waits() -> None:
    assert deadlines.headers(10) == {"X-Timeout-Ms": "10000"}
    async with asyncio.timeout(2) as timer:
        deadlines.start(timer)
        await asyncio.sleep(0)
        assert 1_500 < int(deadlines.headers(10)["X-Timeout-Ms"]) <= 2_000
        assert deadlines.headers(0.5) == {"X-Timeout-Ms": "500"}


async def test_the_number_of_slow_uploads_is_limited() -> None:
    async with serving(open_requests=1) as connect, connect() as one, connect() as two:
        await one.send(post(100_000))
        await asyncio.sleep(0.05)
        await two.send(get(b"/fine"))
        assert (await two.answer()).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("pieces", [10, None])
async def test_an_early_response_waits_until_the_body_ends_or_stalls(pieces: int | None) -> None:
    """Otherwise the gateway closes the connection while the client writes, and the client never sees the response."""
    taken, sent_messages = 0, list[Message]()

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await Response("too large", 413)(scope, receive, send)

    async def receive() -> Message:
        nonlocal taken
        if taken == 3 and pieces is None:
            await asyncio.Event().wait()
        taken += 1
        return {"type": "http.request", "body": bytes(PIECE), "more_body": taken != pieces}

    async def send(message: Message) -> None:
        assert taken == (pieces or 3)
        sent_messages.append(message)

    http = HttpSettings(port=1, least_bytes_per_second=RATE)
    limits = RequestLimits(
        refuse, http, Admission(http), lambda _: Allowance(PIECE, 10), lambda _: Priority.NORMAL,
        lambda _, error: never(error),
    )  # fmt: skip
    await limits({"type": "http", "path": "/", "headers": [(b"transfer-encoding", b"chunked")]}, receive, send)
    assert sent_messages[0]["status"] == 413


async def never(error: errors.AppError) -> Response:
    raise error
