"""Limits of a request: bytes, time, and how many there are at once.

A body must arrive at a least rate, a response must begin in time, and a client must read each piece of a streamed
response in time. A request that waits for its client is not one of those that are handled.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit.core.errors import AppError, BodyTooLarge, NoAnswerInTime, Overloaded, RequestTimeout
from kit.http import deadlines
from kit.http.admission import Admission, Priority
from kit.http.admission import Request as Admitted
from kit.observability import log, metrics
from kit.settings import HttpSettings

logger = log.get(__name__)
UNKNOWN_SIZE = -1
LINGER_SECONDS, QUIET_SECONDS = 5, 0.5
"""How long the rest of a body is read when the response begins before its end: at most, and while nothing arrives."""
REFUSED = "refused"
"""In the scope of a request that was refused because there are too many."""
CAUSES = ("busy", "slow_body", "slow_answer", "slow_reader", "spool")


@dataclass(frozen=True)
class Allowance:
    """Limits for requests to some paths: bytes of a body; `seconds` to send more, to be answered, to read more."""

    body_bytes: int
    seconds: float


Prioritise = Callable[[Scope], Priority]
Refuse = Callable[[Request, AppError], Awaitable[Response]]
"""Renders the response to an error that is found outside of the app."""


class RequestLimits:
    """Refuses requests that are too large or too many (413, 503), and aborts those that take too long (408, 503)."""

    def __init__(
        self,
        app: ASGIApp,
        settings: HttpSettings,
        admission: Admission,
        allowed: Callable[[str], Allowance],
        prioritise: Prioritise,
        refuse: Refuse,
    ) -> None:
        self._app = app
        self._settings = settings
        self._allowed = allowed
        self._prioritise = prioritise
        self._refuse = refuse
        self._open = 0
        self._least_rate = settings.least_bytes_per_second
        self._admission, self._exempt = admission, Admission(settings)
        metrics.admission_limit.set_function(lambda: self._admission.limit)
        metrics.initialise(metrics.requests_aborted, CAUSES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif error := await self._served(scope, receive, send):
            response = await self._refuse(Request(scope), error)
            if REFUSED in scope:
                response.status_code = self._settings.overload_status
            await response(scope, receive, send)

    async def _served(self, scope: Scope, receive: Receive, send: Send) -> AppError | None:
        """The error to answer with, if the app has not answered."""
        allowance, size = self._allowed(scope["path"]), _announced(scope)
        if size > allowance.body_bytes:
            return BodyTooLarge()
        priority = self._prioritise(scope)
        admission = self._exempt if priority is Priority.EXEMPT else self._admission
        if self._open >= self._settings.open_requests or not admission.admits(priority):
            metrics.requests_aborted.labels("busy").inc()
            scope[REFUSED] = True
            return Overloaded()
        self._open += 1
        request = admission.enter(measured=allowance.seconds <= self._settings.timeout_seconds)
        try:
            seconds = min(allowance.seconds, deadlines.seconds(scope))
            exchange = _Exchange(request, self._least_rate, seconds, size == 0, receive, send)
            return await exchange.run(self._app, scope)
        finally:
            request.end()
            self._open -= 1


class _Exchange:
    """A request and its response, with one timer that is rescheduled."""

    def __init__(
        self, request: Admitted, least_rate: int, seconds: float, arrived: bool, receive: Receive, send: Send
    ) -> None:
        self._request = request
        self._least_rate = least_rate
        self._seconds = seconds
        self._receive = receive
        self._send = send
        self._arrived = arrived
        self._begun = self._answered = False
        self._cause, self._pending = "slow_answer", 0

    async def run(self, app: ASGIApp, scope: Scope) -> AppError | None:
        """The error if it took too long; None if the response has begun: then the connection is closed."""
        self._now = asyncio.get_running_loop().time
        self._timer = asyncio.timeout(self._seconds)
        deadlines.start(self._timer)
        try:
            async with self._timer:
                await app(scope, self._receive if self._arrived else self._body, self._answer)
        except TimeoutError:
            if not self._timer.expired():
                raise
            metrics.requests_aborted.labels(self._cause).inc()
            logger.warning("request aborted", cause=self._cause)
            return None if self._answered else RequestTimeout() if self._cause == "slow_body" else NoAnswerInTime()
        return None

    async def _body(self) -> Message:
        """A client that sends at the least rate always has `seconds` left; a slower one uses them up."""
        if self._arrived:  # and the app listens for the end of the connection
            return await self._receive()
        self._begun = True
        self._cause = "slow_body"
        message = await self._request.waited(self._receive())
        self._cause = "slow_answer"
        until = self._now() + self._seconds
        if message.get("more_body"):
            earned = len(message.get("body", b"")) / self._least_rate
            until = min(until, (self._timer.when() or until) + earned)
        else:
            self._arrived = True
        self._move(until)
        return message

    async def _answer(self, message: Message) -> None:
        """A piece is sent when the one before has been read; a response in one piece is not awaited."""
        if self._begun and not self._arrived and not self._answered:
            await self._linger()
        self._answered, more = True, message.get("more_body", False)
        if more or self._pending:
            self._move(self._now() + self._seconds + self._pending / self._least_rate)
        if self._pending:
            self._cause = "slow_reader"
            await self._request.waited(self._send(message))
            self._cause = "slow_answer"
        else:
            await self._send(message)
        self._pending = len(message.get("body", b"")) if more else 0

    async def _linger(self) -> None:
        """Discard what the client is still sending before the response.

        The gateway closes a connection whose response begins before the end of the body, and a client that is sending
        at that moment gets a broken connection instead of the response.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._arrived:
                    async with asyncio.timeout(QUIET_SECONDS):
                        await self._body()
        self._cause = "slow_answer"

    def _move(self, until: float) -> None:
        if not self._timer.expired():
            self._timer.reschedule(until)


def _announced(scope: Scope) -> int:
    """The announced size of the body; `UNKNOWN_SIZE` if there is none, 0 without a body."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else UNKNOWN_SIZE
        if name == b"transfer-encoding":
            return UNKNOWN_SIZE
    return 0
