"""The app of a service: errors, request ids, access log, metrics, limits."""

import re
import time
from collections.abc import Iterable, Iterator
from functools import cached_property

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit.core.errors import AppError
from kit.core.ids import new_id
from kit.http import errors
from kit.http.admission import Admission, Priority
from kit.http.request_limits import REFUSED, Allowance, RequestLimits
from kit.http.uploads import Spool
from kit.observability import log, metrics, tracing
from kit.security import security_events
from kit.security.tokens import TokenVerifier
from kit.settings import ProcessSettings, ServiceSettings

logger = log.get("access")
REQUEST_ID = re.compile(r"^[A-Za-z0-9_-]{8,64}$")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that metrics distinguish; others are counted as `other`, so that no caller can add label values."""


def create_app(
    name: str, title: str, settings: ServiceSettings, verifier: TokenVerifier, router: APIRouter, service: object
) -> FastAPI:
    """The app of a service: errors as problem+json, request ids, access log, metrics, limits.

    Routes find `service` in `request.app.state.service`.
    """
    docs = f"/api/{name}/docs" if settings.environment == "local" else None
    app = new_app(title, settings, f"/api/{name}/openapi.json", docs)
    app.state.verifier, app.state.service = verifier, service
    app.include_router(router)
    errors.install(app)
    return app


def new_app(title: str, settings: ProcessSettings, openapi: str | None = None, docs: str | None = None) -> FastAPI:
    """An app without routes that counts, logs and limits requests; `openapi` and `docs` are addresses.

    Requests with other limits have an allowance in `app.state.allowances`, by path prefix. `app.state.priorities` has
    the priorities that are not normal, by path or by folder (`/operators/`). `app.state.refuse` renders errors found
    outside of the app; `app.state.spool` is the room for files that are being uploaded.
    """
    app = _App(
        title=title,
        openapi_url=openapi,
        docs_url=docs,
        redoc_url=None,
        max_body_size=settings.http.max_body_bytes,
        redirect_slashes=False,
        telemetry={"exclude": tracing.is_unsampled, "operation_spans": False},
        generate_unique_id_function=_operation_id,
    )
    app.state.http = settings.http
    app.state.allowances = {}
    app.state.priorities = {}
    app.state.admission = Admission(settings.http)
    app.state.refuse = _refused
    app.state.spool = Spool(settings.http.spool_files, settings.http.spool_bytes)
    security_events.initialise(*security_events.CAUSES)
    return app


async def _refused(_request: Request, error: AppError) -> Response:
    return errors.response(error)


class _App(FastAPI):
    """Applies request ids, access log and limits to every response, also those of FastAPI's outermost middleware."""

    def build_middleware_stack(self) -> ASGIApp:
        inner = super().build_middleware_stack()
        state = self.state
        limits = RequestLimits(inner, state.http, state.admission, self._allowance, self._priority, state.refuse)
        return RequestContext(limits)

    def _allowance(self, path: str) -> Allowance:
        allowances: dict[str, Allowance] = self.state.allowances
        own = (allowance for part, allowance in allowances.items() if path.startswith(part))
        return next(own, self._usual)

    def _priority(self, scope: Scope) -> Priority:
        priorities: dict[str, Priority] = self.state.priorities
        return next((own for part, own in priorities.items() if _is_in(scope["path"], part)), Priority.NORMAL)

    @cached_property
    def _usual(self) -> Allowance:
        return Allowance(self.state.http.max_body_bytes, self.state.http.timeout_seconds)


def _is_in(path: str, part: str) -> bool:
    return path.startswith(part) if part.endswith("/") else path == part


def _operation_id(route: APIRoute) -> str:
    return route.name


class RequestContext:
    """Gives each request an id, returns it in `X-Request-Id`, counts and times it, and writes the access log line."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id = _request_id(scope)
        log.unbind()
        log.bind(request_id=request_id)
        security_events.arrived(scope)
        status, started = 500, time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_own_headers(message["headers"], request_id)]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            method, route = scope["method"], getattr(scope.get("route"), "path", "-")
            took = time.perf_counter() - started
            metrics.requests.labels(route, method if method in METHODS else "other", status).observe(took)
            if REFUSED not in scope:  # they are counted; a line for each costs as much as refusing it
                logger.info("request", method=method, route=route, status=status, ms=round(took * 1000, 1))


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.match(value.decode("latin-1")):
            return str(value.decode("latin-1"))
    return new_id()


def current_request_id() -> str:
    """The id of the current request, for calls to other services."""
    return log.bound("request_id") or new_id()


def _own_headers(given: Iterable[tuple[bytes, bytes]], request_id: str) -> Iterator[tuple[bytes, bytes]]:
    yield b"x-request-id", request_id.encode()
    yield b"x-content-type-options", b"nosniff"
    if all(name != b"cache-control" for name, _ in given):
        yield b"cache-control", b"no-store"
