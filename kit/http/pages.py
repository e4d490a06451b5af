"""HTML pages: templates, static files, errors as pages. The only importer of Jinja2."""

import hashlib
import mimetypes
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_problem.error import Problem
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit.core import errors
from kit.http import errors as http_errors
from kit.http.app import new_app
from kit.settings import ProcessSettings

mimetypes.add_type("text/javascript", ".js")
IMMUTABLE = "public, max-age=31536000, immutable"
CONTENT_POLICY = "Content-Security-Policy"


def content_policy(*also: str) -> str:
    """The Content-Security-Policy of a page: its own origin; scripts may also call the origins of `also`."""
    callable_origins = " ".join(("'self'", *also))
    return (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; media-src 'self'; "
        f"connect-src {callable_origins}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


PAGE_HEADERS = {
    CONTENT_POLICY: content_policy(),
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""On every response: nothing from other origins, nothing inline, in no frame."""

RenderError = Callable[[Request, Problem], Awaitable[Response]]
FAILURES: tuple[type[Exception], ...] = (
    Problem, HTTPException, RequestValidationError, RecursionError, UnicodeDecodeError, Exception,
)  # fmt: skip


def create_app(
    title: str,
    settings: ProcessSettings,
    routers: Iterable[APIRouter],
    service: object,
    render_error: RenderError,
    overloaded: str,
) -> FastAPI:
    """The app of a service that serves pages: every error is a page, every response has `PAGE_HEADERS`.

    Routes find `service` in `request.app.state.service`. `overloaded`: the page for requests that are refused because
    there are too many; it is not rendered for each.
    """
    app = new_app(title, settings)
    app.state.service = service
    for router in routers:
        app.include_router(router, include_in_schema=False)

    async def failed(request: Request, error: Exception) -> Response:
        problem = http_errors.as_problem(error)
        http_errors.record_denial(problem)
        response = await render_error(request, problem)
        response.headers.update(PAGE_HEADERS)  # an unexpected error is answered outside of all middleware
        return response

    for failure in FAILURES:
        app.add_exception_handler(failure, failed)
    busy = overloaded.encode()

    async def refuse(request: Request, error: Exception) -> Response:
        if isinstance(error, errors.Overloaded):
            return Response(busy, error.status, {**PAGE_HEADERS, **(error.headers or {})}, "text/html")
        return await failed(request, error)

    app.state.refuse = refuse
    app.add_middleware(_Guarded)
    return app


class _Guarded:
    """Adds `PAGE_HEADERS`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in PAGE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, answer)


class Templates:
    """Jinja2 templates of a folder: all values are escaped, and an undefined name is an error."""

    def __init__(
        self,
        folder: Path,
        names: Mapping[str, object],
        filters: Mapping[str, Callable[..., object]],
    ) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True, auto_reload=False, cache_size=-1,
        )  # fmt: skip
        self._environment.globals.update(names)
        self._environment.filters.update(filters)

    def render(self, template: str, values: Mapping[str, object]) -> str:
        """The page as text."""
        return self._environment.get_template(template).render(values)


class StaticFiles:
    """The files of a folder, read once; `address` changes with a file's content, so browsers may cache it."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self._prefix = prefix
        self._files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        self._versions = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in self._files.items()}

    def address(self, name: str) -> Markup:
        """The URL of the file."""
        return Markup(f"{self._prefix}/{name}?v={self._versions[name]}")  # noqa: S704  # no part of it is input

    def answer(self, name: str, version: str) -> Response:
        """The file. Raises `NotFound`."""
        if name not in self._files:
            raise errors.NotFound
        lasting = IMMUTABLE if version == self._versions[name] else "no-cache"
        media_type = mimetypes.guess_type(name)[0]
        return Response(self._files[name], media_type=media_type, headers={"Cache-Control": lasting})
