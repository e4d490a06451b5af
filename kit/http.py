"""The HTTP door of a service: one way to make the app, know the caller, page, and guard a version."""

import base64
import binascii
import json
import re
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Annotated, Generic, NoReturn, TypeVar
from urllib.parse import unquote

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit import errors, log, metrics, security, tracing
from kit.auth import Caller, TokenVerifier, Unauthorized
from kit.documents import Cursor
from kit.errors import AppError, InvalidFields
from kit.ids import new_id
from kit.request_limits import Allowance, RequestLimits
from kit.settings import ProcessSettings, ServiceSettings
from kit.uploads import Spool

logger = log.get("access")
REQUEST_ID = re.compile(r"^[A-Za-z0-9_-]{8,64}$")
UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

Id = Annotated[str, Path(pattern=UUID_PATTERN)]
PersonId = Annotated[str, Path(pattern=rf"{UUID_PATTERN}|^me$", description="a practitioner's id, or `me`")]
MOST_REASON = 200
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""What a metric tells apart: a label's values must not be anybody's to choose."""
T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=200)]


class In(BaseModel):
    """A request body: fields that the call doesn't know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Out(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True)


class Page(Out, Generic[T]):
    """A list, and the cursor of its next page."""

    items: list[T]
    next_cursor: str | None = None


class _Request(Request):
    """Reads JSON as RFC 8259 and I-JSON (RFC 7493) mean it: no name twice, no NaN or Infinity."""

    async def json(self) -> object:
        return json.loads(await self.body(), object_pairs_hook=_no_name_twice, parse_constant=_no_constant)


def _no_name_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):  # a proxy or a log may have read the other one
        raise json.JSONDecodeError("a name stands twice", "", 0)
    return members


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError("not a number of JSON", "", 0)


class StrictRoute(APIRoute):
    """Routes of services (`APIRouter(route_class=StrictRoute)`): ambiguous JSON is refused."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[object, object, Response]]:
        """FastAPI's own handler, on a stricter request."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(_Request(request.scope, request.receive))

        return handle


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

    What may take more than other requests has an allowance in `app.state.allowances`, by the beginning of its paths;
    `app.state.refuse` renders errors found outside of the app; `app.state.spool` is the room for files on their way in.
    """
    app = _App(
        title=title,
        openapi_url=openapi,
        docs_url=docs,
        redoc_url=None,
        max_body_size=settings.http.max_body_bytes,
        redirect_slashes=False,
        telemetry={"exclude": tracing.passed_over, "operation_spans": False},
        generate_unique_id_function=_operation_id,
    )
    app.state.http, app.state.allowances, app.state.refuse = settings.http, {}, _refused
    app.state.spool = Spool(settings.http.spool_files, settings.http.spool_bytes)
    security.begin(*security.CAUSES)
    return app


async def _refused(_request: Request, error: AppError) -> Response:
    return errors.response(error)


class _App(FastAPI):
    """Request ids, the access log and limits cover every answer: also those of FastAPI's own outermost layers."""

    def build_middleware_stack(self) -> ASGIApp:
        inner = super().build_middleware_stack()
        return RequestContext(RequestLimits(inner, self.state.http, self._allowance, self.state.refuse))

    def _allowance(self, path: str) -> Allowance:
        allowances: dict[str, Allowance] = self.state.allowances
        own = (allowance for part, allowance in allowances.items() if path.startswith(part))
        return next(own, self._usual)

    @cached_property
    def _usual(self) -> Allowance:
        return Allowance(self.state.http.max_body_bytes, self.state.http.timeout_seconds)


def _operation_id(route: APIRoute) -> str:
    return route.name


class RequestContext:
    """Gives each request an id, answers it in `X-Request-Id`, counts and times it, and writes the access log line."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id = _request_id(scope)
        log.unbind()
        log.bind(request_id=request_id)
        security.arrived(scope)
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
            logger.info("request", method=method, route=route, status=status, ms=round(took * 1000, 1))


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.match(value.decode("latin-1")):
            return str(value.decode("latin-1"))
    return new_id()


def current_request_id() -> str:
    """The id of the request that is answered just now, to be handed on to other services."""
    return log.bound("request_id") or new_id()


def _own_headers(given: Iterable[tuple[bytes, bytes]], request_id: str) -> Iterator[tuple[bytes, bytes]]:
    yield b"x-request-id", request_id.encode()
    yield b"x-content-type-options", b"nosniff"
    if all(name != b"cache-control" for name, _ in given):
        yield b"cache-control", b"no-store"


def bearer_token(request: Request) -> str:
    """The token of the Authorization header. Raises `Unauthorized`."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized("no_token")
    return token.strip()


def basic_credentials(request: Request) -> tuple[str, str] | None:
    """User and password of HTTP basic authentication (RFC 7617); None without them."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if scheme.lower() == "basic" and colon else None


async def _caller(request: Request) -> Caller:
    verifier: TokenVerifier = request.app.state.verifier
    caller = await verifier.verify(bearer_token(request))
    if caller.kind != "practitioner":
        caller = replace(caller, reason=read_reason(request.headers.get("x-access-reason")))
    security.identified(caller.label, caller.session)
    return caller


CallerDep = Annotated[Caller, Depends(_caller)]


async def _fresh_caller(request: Request, caller: CallerDep) -> Caller:
    verifier: TokenVerifier = request.app.state.verifier
    verifier.require_fresh(caller)
    return caller


FreshCallerDep = Annotated[Caller, Depends(_fresh_caller)]
"""For what can't be undone: a practitioner's last code must not be old (403 `fresh_proof_required`)."""
ACCESS_REASON: dict[str, object] = {  # no parameter of a function: it would cost every reader of their own file 0.2 ms
    "parameters": [{
        "name": "X-Access-Reason", "in": "header", "required": False, "schema": {"type": "string"},
        "description": "Why somebody reads a file that is not their own: percent-encoded UTF-8, required of staff.",
    }]
}  # fmt: skip
"""For the `openapi_extra` of routes that read a person's file; the reason is the caller's (`Caller.reason`)."""


def read_reason(header: str | None) -> str:
    """The sentence in `X-Access-Reason`: percent-encoded UTF-8, because headers hold no Chinese."""
    reason = unquote(header or "", errors="replace").strip()
    if len(reason) > MOST_REASON or not reason.isprintable():
        raise InvalidFields.one("X-Access-Reason", "reason_invalid", f"查看原因请用一句话说明，不超过{MOST_REASON}个字")
    return reason


def client_address(request: Request) -> str:
    """The address the gateway saw (uvicorn reads X-Forwarded-For from trusted proxies only)."""
    return request.client.host if request.client else "unknown"


def etag(version: int) -> str:
    """A document's version as an entity tag (RFC 9110 §8.8.3)."""
    return f'"{version}"'


def expected_version(if_match: Annotated[str | None, Header()] = None) -> int:
    """The version in `If-Match`. Raises 428 without the header, 400 when it isn't one of our entity tags."""
    if if_match is None:
        raise AppError(428, "precondition_required", "请先读取最新内容再修改（缺少 If-Match）")
    match = re.fullmatch(r'"(\d{1,9})"', if_match.strip())
    if match is None:
        raise AppError(400, "if_match_invalid", "If-Match 的格式不正确")
    return int(match[1])


ExpectedVersion = Annotated[int, Depends(expected_version)]


def write_cursor(cursor: Cursor | None) -> str | None:
    """An opaque `next_cursor`."""
    if cursor is None:
        return None
    return base64.urlsafe_b64encode(f"{cursor[0].isoformat()}\n{cursor[1]}".encode()).decode().rstrip("=")


def read_cursor(cursor: Annotated[str | None, Query(max_length=200)] = None) -> Cursor | None:
    """What `write_cursor` wrote. Raises 422 `cursor_invalid`."""
    if cursor is None:
        return None
    try:
        at, identity = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split("\n")
        return datetime.fromisoformat(at), identity
    except ValueError as error:
        raise InvalidFields.one("cursor", "cursor_invalid", "翻页标记无效，请从第一页重新开始") from error


After = Annotated[Cursor | None, Depends(read_cursor)]
