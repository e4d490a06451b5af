"""A visit: one request of a browser, whose it is, what was typed, and how it is answered."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from kit.auth import ADMIN
from kit.clock import Clock
from kit.errors import AppError, NotFound
from kit.http import client_address
from kit.pages import StaticFiles, Templates
from kit.pdf import Printer
from kit.seal import CannotOpen, Sealer
from kit.uploads import read_form
from services.portal.backend import Asker, Backend
from services.portal.catalogue import Catalogue
from services.portal.letters import Letters
from services.portal.own_file import OwnFile
from services.portal.sessions import COOKIE, Kind, Session, SessionOver, Sessions, mark, new_cookie
from services.portal.vault import Vault
from services.portal.watch import Watch

COOKIE_NAME = "__Host-portal"
"""Browsers take a Secure cookie over plain HTTP from loopback addresses: a local stack needs no other name."""
LARGE_COOKIE = "__Host-large"
MOST_FIELDS, MOST_FIELD_BYTES, MOST_FILE_BYTES = 60, 192 * 1024, 10 * 1024 * 1024
"""Of a field: a portrait that a card reader gave, in base64, percent-encoded."""


class Elsewhere(AppError):
    """Something has to be done first, on another page of this site."""

    def __init__(self, path: str) -> None:
        super().__init__(303, "elsewhere", "")
        self.path = path


class FormExpired(AppError):
    """The form did not come from a page that this browser was given."""

    def __init__(self) -> None:
        super().__init__(403, "form_expired", "页面已过期，请返回上一页，刷新后重新提交")


@dataclass(frozen=True)
class Portal:
    """What pages work with."""

    backend: Backend
    sessions: Sessions
    vault: Vault
    catalogue: Catalogue
    templates: Templates
    static: StaticFiles
    printer: Printer
    sealer: Sealer
    clock: Clock
    draft_seconds: int
    watch: Watch
    letters: Letters
    reader: str | None


@dataclass
class Visit:
    """One request. `owner` is for whom the submitted form was made: a practitioner's or staff id, or nobody's."""

    request: Request
    portal: Portal
    cookie: str
    is_new: bool
    session: Session | None = None
    form: dict[str, str] = field(default_factory=dict)
    file: bytes | None = None
    owner: str = ""

    @property
    def path(self) -> str:
        """Where the browser is."""
        return self.request.url.path

    @property
    def home(self) -> str:
        """The first page of whoever this is."""
        return "/staff" if self.session and self.session.kind == "staff" else "/"

    @property
    def here(self) -> str:
        """Where the browser is, to come back to."""
        query = self.request.url.query if self.request.method == "GET" else ""
        return f"{self.path}?{query}" if query else self.path

    @property
    def asker(self) -> Asker:
        """For whom the services are asked."""
        device = self.request.headers.get("user-agent", "")[:400]
        token = self.session.access_token if self.session else None
        return Asker(client_address(self.request), device, token)

    @property
    def csrf(self) -> str:
        """Proof that a form was given to this browser and this person; another text each time."""
        return self.portal.sealer.seal(self.session.subject if self.session else "", self._csrf_context)

    @property
    def _csrf_context(self) -> str:
        return f"csrf:{mark(self.cookie)}"

    @property
    def own_file(self) -> OwnFile:
        """The file of the practitioner who is logged in, at the services."""
        return OwnFile(self.portal.backend, self.asker)

    async def lasting_file(self) -> OwnFile:
        """The same in the midst of a long answer: with a token that lasts. Raises `SessionOver`."""
        self.session = await self.portal.sessions.fresh(self.cookie, self.asker)
        return self.own_file

    def still_there(self, error: AppError) -> None:
        """Raises `SessionOver` when a service's refusal means that the session has ended."""
        if error.status == 401:
            raise SessionOver from error

    def accept(self, fields: dict[str, str]) -> None:
        """Take the fields of a form. Raises `FormExpired` unless this browser was given it."""
        try:
            self.owner = self.portal.sealer.open(fields.pop("csrf", ""), self._csrf_context)
        except CannotOpen as error:
            raise FormExpired from error
        self.form = fields

    def chosen_file(self) -> bytes:
        """The file of the form. Raises 422 when none was chosen."""
        if not self.file:
            raise AppError(422, "required", "请选择要上传的文件")
        return self.file

    async def keep_draft(self) -> bool:
        """Keep what was typed, for the person whose form it is; whether there was anything."""
        if not (self.owner and self.form):
            return False
        draft = json.dumps(self.form)
        await self.portal.vault.put(f"draft:{self.owner}:{self.path}", draft, self.portal.draft_seconds)
        return True

    async def draft(self) -> dict[str, str] | None:
        """What this person typed on this page before; it is given once."""
        if self.session is None:
            return None
        kept = await self.portal.vault.take(f"draft:{self.session.subject}:{self.path}")
        return dict(json.loads(kept.text)) if kept else None

    def page(self, template: str, *, status: int = 200, **values: object) -> Response:
        """The page, made of a template."""
        large = LARGE_COOKIE in self.request.cookies
        text = self.portal.templates.render(template, {"visit": self, "large": large, **values})
        response = HTMLResponse(text, status)
        if self.is_new:
            self.remember(response, self.cookie)
        return response

    def remember(self, response: Response, cookie: str) -> None:
        """Give the browser a cookie that ends with it."""
        response.set_cookie(COOKIE_NAME, cookie, path="/", secure=True, httponly=True, samesite="lax")

    def go(self, path: str) -> Response:
        """On to another page, after a form."""
        return RedirectResponse(path, 303)


def visit_of(request: Request) -> Visit:
    """The visit of a request, before anybody knows whose it is."""
    cookie = request.cookies.get(COOKIE_NAME, "")
    known = COOKIE.fullmatch(cookie) is not None
    return Visit(request, cast(Portal, request.app.state.service), cookie if known else new_cookie(), not known)


async def _submitted(request: Request) -> Visit:
    """A visit with what was submitted, if anything was."""
    request.state.visit = visit = visit_of(request)
    if request.method == "POST":
        visit.accept(await _fields(visit))
    return visit


async def _fields(visit: Visit) -> dict[str, str]:
    """The text fields of a form; a file, when there is one, is the visit's `file`."""
    request = visit.request
    if request.headers.get("content-type", "").startswith("multipart/"):
        read = await read_form(request, MOST_FILE_BYTES, _too_large, most_fields=MOST_FIELDS, room=MOST_FIELD_BYTES)
        visit.file = read.file
        return read.fields
    form = await request.form(max_files=0, max_fields=MOST_FIELDS, max_part_size=MOST_FIELD_BYTES)
    return {name: value for name, value in form.items() if isinstance(value, str)}


def _too_large() -> AppError:
    return AppError(413, "file_too_large", f"文件过大，请选择小于 {MOST_FILE_BYTES // 1024**2}MB 的文件")


async def _anybody(visit: Annotated[Visit, Depends(_submitted)]) -> Visit:
    if not visit.is_new:
        visit.session = await visit.portal.sessions.find(visit.cookie)
    return visit


async def _logged_in(visit: Visit, kind: Kind) -> Session:
    """The session, with a token that lasts. Raises `SessionOver`."""
    visit.session = session = await visit.portal.sessions.fresh(visit.cookie, visit.asker)
    if session.kind != kind:
        raise NotFound
    if visit.request.method == "POST" and visit.owner != session.subject:
        raise FormExpired
    return session


async def _practitioner(visit: Annotated[Visit, Depends(_submitted)]) -> Visit:
    await _logged_in(visit, "practitioner")
    return visit


VisitDep = Annotated[Visit, Depends(_anybody)]
"""Anybody, logged in or not."""
PersonDep = Annotated[Visit, Depends(_practitioner)]
"""A practitioner who is logged in."""


def staff_with(*roles: str) -> Callable[..., Awaitable[Visit]]:
    """For `Annotated[Visit, Depends(staff_with("clerk"))]`: staff with this role, and admins; 404 for the others."""

    async def member(visit: Annotated[Visit, Depends(_submitted)]) -> Visit:
        session = await _logged_in(visit, "staff")
        if not {*roles, ADMIN} & set(session.roles):
            raise NotFound
        return visit

    return member


def own_path(text: str) -> str:
    """`text` when it is a path on this site, else the first page: nobody is sent elsewhere."""
    plain = text.isprintable() and text.isascii() and "\\" not in text
    return text if plain and text.startswith("/") and not text.startswith("//") else "/"
