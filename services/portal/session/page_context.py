"""The context of one request to a page: session, submitted form, draft, and the ways to respond."""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request
from pydantic import Base64Bytes, BaseModel
from starlette.responses import HTMLResponse, RedirectResponse, Response

from kit.core.clock import Clock
from kit.core.errors import AppError, Hidden, Unavailable
from kit.formats.pdf import Printer
from kit.http.callers import client_address
from kit.http.pages import StaticFiles, Templates
from kit.http.quotas import Quotas
from kit.http.uploads import read_fields, read_form
from kit.security import security_events
from kit.security.encryption import Cipher, DecryptionError
from kit.security.tokens import ADMIN
from services.portal.client.backend import Backend, CallerContext, Refused
from services.portal.client.catalogue import Catalogue
from services.portal.client.practitioner import PractitionerClient
from services.portal.domain import PHOTO_BYTES
from services.portal.operations.dead_letters import DeadLetters
from services.portal.operations.monitor import Monitor
from services.portal.session.encrypted_cache import EncryptedCache
from services.portal.session.sessions import COOKIE, Kind, Session, SessionOver, Sessions, cookie_hash, new_cookie
from services.portal.session.waiting_room import WaitingRoom

COOKIE_NAME = "__Host-portal"
"""Browsers accept a Secure cookie over plain HTTP from loopback addresses: a local stack needs no other name."""
LARGE_COOKIE = "__Host-large"
DEVICE_COOKIE, DEVICE_SECONDS = "__Host-device", 180 * 24 * 3600
"""Marks a browser in which a practitioner has logged in. Identity decides how long the token in it is valid."""
CSRF = "csrf"
WITHOUT_DRAFT = "afresh"
"""Query parameter: show the page without its draft."""
PROOF, FRESH_PROOF_REQUIRED = "/account/proof", "fresh_proof_required"
HELD_SECONDS, HELD_BYTES = 600, 5 * 1024 * 1024
"""How long a form is held while its person authenticates again, and the largest file that is held with it."""
MAX_FIELDS = 60
MAX_FORM_BYTES = 256 * 1024
"""Without the file: fits a card reader's portrait, in base64 and percent-encoded, and the text fields."""
MAX_FILE_BYTES = 12 * 1024 * 1024
"""As many as attachments takes of a photo to correct."""


class Redirect(AppError):
    """Another page of this site has to be completed first."""

    def __init__(self, path: str) -> None:
        super().__init__(303, "elsewhere", "")
        self.path = path


class HeldUpload(BaseModel):
    """A form and its file, held while the person authenticates again; `page` is the page that contains the form."""

    page: str
    fields: dict[str, str]
    file: Base64Bytes | None


class PageExpired(AppError):
    """The form's CSRF token is not valid for this browser and session."""

    def __init__(self) -> None:
        super().__init__(403, "form_expired", "页面已过期，请返回上一页，刷新后重新提交")


@dataclass(frozen=True)
class Portal:
    """The dependencies of pages."""

    backend: Backend
    sessions: Sessions
    cache: EncryptedCache
    catalogue: Catalogue
    templates: Templates
    static: StaticFiles
    printer: Printer
    cipher: Cipher
    clock: Clock
    draft_seconds: int
    fresh_seconds: int
    monitor: Monitor
    dead_letters: DeadLetters
    reader_origin: str | None
    quotas: Quotas
    waiting_room: WaitingRoom


@dataclass
class PageContext:
    """One request; for a submitted form also its contents.

    `csrf_token` is the form's token. It names the form's `owner` (the id of a practitioner or member of staff, empty
    if nobody was logged in) and `form_page`, the page that its draft belongs to (empty for a form without text).
    `refusal` is the error for a file that was not accepted. `restored`: the page shows a draft.
    """

    request: Request
    portal: Portal
    cookie: str
    is_new: bool
    session: Session | None = None
    form: dict[str, str] = field(default_factory=dict)
    file: bytes | None = None
    refusal: AppError | None = None
    csrf_token: str = ""
    owner: str = ""
    form_page: str = ""
    restored: bool = False

    @property
    def path(self) -> str:
        """The path of the request."""
        return self.request.url.path

    @property
    def home(self) -> str:
        """The path of the home page for this session."""
        return "/staff" if self.session and self.session.kind == "staff" else "/"

    @property
    def return_path(self) -> str:
        """The path to come back to: this page, or for a submitted form the page that contains it."""
        if self.request.method != "GET":
            return self.form_page or self.path
        query = self.request.url.query.removesuffix(f"{WITHOUT_DRAFT}=1").rstrip("&")
        return f"{self.path}?{query}" if query else self.path

    @property
    def without_draft(self) -> str:
        """The path of the same page without its draft."""
        return f"{self.return_path}{'&' if '?' in self.return_path else '?'}{WITHOUT_DRAFT}=1"

    @property
    def caller(self) -> CallerContext:
        """What the services are told of this browser: address, user agent, access token."""
        user_agent = security_events.agent(self.request.scope)
        token = self.session.access_token if self.session else None
        return CallerContext(client_address(self.request), user_agent, token)

    def csrf(self, typed: bool = True) -> str:
        """A new CSRF token: browser, person and page, encrypted.

        `typed`: the form contains text, which is kept as a draft if it can't be processed.
        """
        subject = self.session.subject if self.session else ""
        token = json.dumps([subject, cookie_hash(self.cookie), self.return_path if typed else ""])
        return self.portal.cipher.encrypt(token, CSRF)

    @property
    def client(self) -> PractitionerClient:
        """Calls to the services for the practitioner who is logged in."""
        return PractitionerClient(self.portal.backend, self.caller)

    async def refreshed_client(self) -> PractitionerClient:
        """`client` with a refreshed access token, for responses that take long. Raises `SessionOver`."""
        self.session = await self.portal.sessions.fresh(self.cookie, self.caller)
        return self.client

    def raise_session_errors(self, error: AppError) -> None:
        """Raise `error` if no form can show it: `SessionOver`, or a recent authentication is required."""
        if isinstance(error, Refused) and error.code == "unauthorized":
            raise SessionOver(error.reason) from error
        if error.code == FRESH_PROOF_REQUIRED:
            raise error

    @property
    def proof_path(self) -> str:
        """The path of the page for authenticating again, which leads back here."""
        return f"{PROOF}?next={quote(self.return_path if self.request.method == 'GET' else self.path)}"

    def require_fresh(self, then: str) -> None:
        """For responses that the portal composes. Raises `Redirect` if the last authentication is not recent."""
        proved = self.session.auth_time if self.session else 0
        if self.portal.clock.now().timestamp() - proved > self.portal.fresh_seconds:
            raise Redirect(f"{PROOF}?next={quote(then)}")

    def accept(self, fields: Mapping[str, str]) -> None:
        """Set `form` and its owner from submitted fields. Raises `PageExpired` if the token is of another browser.

        If the token can be decrypted, owner and form are set even then: they are needed to save a draft.
        """
        self.csrf_token = fields.get("csrf", "")
        try:
            opened = self.portal.cipher.decrypt(self.csrf_token, CSRF)
        except DecryptionError as error:
            raise PageExpired from error
        self.owner, browser, self.form_page = json.loads(opened)
        self.form = {name: text for name, text in fields.items() if name != "csrf"}
        if browser != cookie_hash(self.cookie):
            raise PageExpired

    def require_file(self) -> None:
        """Raise `refusal`, if there is one."""
        if self.refusal:
            raise self.refusal

    def chosen_file(self) -> bytes:
        """The submitted file. Raises 422 if there is none."""
        if not self.file:
            raise AppError(422, "required", "请选择要上传的文件")
        return self.file

    async def save_draft(self) -> bool:
        """Save the form's text, and a photo, as a draft of its owner. False if there is nothing to save."""
        if not (self.owner and self.form_page and self.form):
            return False
        photo = self.file if self.file and len(self.file) <= PHOTO_BYTES else b""
        draft = json.dumps([self.form, base64.b64encode(photo).decode()])
        await self.portal.cache.put(_draft_key(self.owner, self.form_page), draft, self.portal.draft_seconds)
        return True

    async def load_draft(self) -> dict[str, str] | None:
        """The person's draft for this page, unless they discarded it; sets `file` to its photo."""
        if self.session is None or WITHOUT_DRAFT in self.request.query_params:
            return None
        cached = await self.portal.cache.get(_draft_key(self.session.subject, self.path))
        if cached is None:
            return None
        form, photo = json.loads(cached.text)
        self.restored = True
        self.file = base64.b64decode(photo)
        return dict(form)

    def carry_over(self, form: Mapping[str, str], page: str) -> None:
        """Make `form` the draft of another page of this person."""
        self.owner = self.session.subject if self.session else ""
        self.form = dict(form)
        self.form_page = page

    async def drop_draft(self) -> None:
        """Delete the form's draft; it expires if Redis is unavailable."""
        with suppress(Unavailable):
            await self.portal.cache.drop(_draft_key(self.owner, self.form_page))

    async def finish(self, path: str) -> Response:
        """Delete the draft of a form that was processed, and redirect to `path`."""
        await self.drop_draft()
        return self.redirect(path)

    async def hold_upload(self) -> None:
        """Hold the form and its file while this person authenticates again in this browser."""
        file = base64.b64encode(self.file) if self.file else None
        held = HeldUpload(page=self.form_page, fields=self.form, file=file)
        await self.portal.cache.put(self._held_key(self.path), held.model_dump_json(), HELD_SECONDS)

    async def take_held_upload(self, path: str) -> HeldUpload | None:
        """Remove and return what `hold_upload` held for a request to `path`."""
        cached = await self.portal.cache.take(self._held_key(path))
        return HeldUpload.model_validate_json(cached.text) if cached else None

    def _held_key(self, path: str) -> str:
        return f"held:{self.session.subject if self.session else ''}:{cookie_hash(self.cookie)}:{path}"

    def render(self, template: str, *, status: int = 200, **values: object) -> Response:
        """A response with the rendered template, and a cookie for a new browser."""
        large = LARGE_COOKIE in self.request.cookies
        text = self.portal.templates.render(template, {"context": self, "large": large, **values})
        response = HTMLResponse(text, status)
        if self.is_new:
            self.set_cookie(response, self.cookie)
        return response

    def set_cookie(self, response: Response, cookie: str) -> None:
        """Set the session cookie, which the browser deletes when it is closed."""
        response.set_cookie(COOKIE_NAME, cookie, path="/", secure=True, httponly=True, samesite="lax")

    @property
    def device_token(self) -> str:
        """The device token of this browser; empty before its first log-in."""
        token = self.request.cookies.get(DEVICE_COOKIE, "")
        return token if COOKIE.fullmatch(token) else ""

    def set_device_cookie(self, response: Response, token: str) -> None:
        """Set the cookie with the device token, which is kept after the session."""
        if token:
            response.set_cookie(
                DEVICE_COOKIE, token, DEVICE_SECONDS, path="/", secure=True, httponly=True, samesite="lax"
            )

    def redirect(self, path: str) -> Response:
        """303 See Other."""
        return RedirectResponse(path, 303)


def context_of(request: Request) -> PageContext:
    """The context of a request, before its session is read."""
    cookie = request.cookies.get(COOKIE_NAME, "")
    known = COOKIE.fullmatch(cookie) is not None
    portal: Portal = request.app.state.service
    return PageContext(request, portal, cookie if known else new_cookie(), not known)


def _draft_key(owner: str, page: str) -> str:
    return f"draft:{owner}:{page.partition('?')[0]}"


async def _submitted(request: Request) -> PageContext:
    """The context with the submitted form, if there is one."""
    request.state.context = context = context_of(request)
    if request.method == "POST":
        context.accept(await _fields(context))
    return context


async def _fields(context: PageContext) -> dict[str, str]:
    """The text fields of a form; sets `file` and `refusal` of the context."""
    request = context.request
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await read_fields(request, MAX_FIELDS, MAX_FORM_BYTES)

    async def admit(fields: Mapping[str, str]) -> int:
        return await _max_file_bytes(context, fields)

    read = await read_form(
        request, MAX_FILE_BYTES, file_too_large, most_fields=MAX_FIELDS, room=MAX_FORM_BYTES, admit=admit
    )
    context.file, context.refusal = read.file, read.refusal
    return read.fields


async def _max_file_bytes(context: PageContext, fields: Mapping[str, str]) -> int:
    """How much of a file is read: all of it if the form's owner is logged in, else as much as a draft keeps.

    Raises `PageExpired` if the form has no owner. In a form, the token precedes the file.
    """
    with suppress(PageExpired):
        context.accept(fields)
    if not context.owner:
        raise PageExpired
    try:
        session = None if context.is_new else await context.portal.sessions.find(context.cookie)
    except Unavailable:  # raised again after the body was read
        return PHOTO_BYTES + 1
    return MAX_FILE_BYTES if session and session.subject == context.owner else PHOTO_BYTES + 1


def file_too_large(most: int = MAX_FILE_BYTES) -> AppError:
    """The error for a file of `most` bytes or more."""
    return AppError(413, "file_too_large", f"文件过大，请选择小于 {most // 1024**2}MB 的文件")


async def _anybody(context: Annotated[PageContext, Depends(_submitted)]) -> PageContext:
    if not context.is_new:
        context.session = await context.portal.sessions.find(context.cookie)
    context.require_file()
    return context


async def _logged_in(context: PageContext, kind: Kind) -> Session:
    """The session, with a token that is valid for the whole request. Raises `SessionOver`."""
    context.session = session = await context.portal.sessions.fresh(context.cookie, context.caller)
    security_events.identified(f"{session.kind}:{session.subject}")
    if session.kind != kind:
        raise Hidden
    if context.request.method == "POST" and context.owner != session.subject:
        raise PageExpired
    context.require_file()
    return session


async def _practitioner(context: Annotated[PageContext, Depends(_submitted)]) -> PageContext:
    await _logged_in(context, "practitioner")
    return context


PageContextDep = Annotated[PageContext, Depends(_anybody)]
"""With or without a session."""
PersonDep = Annotated[PageContext, Depends(_practitioner)]
"""A practitioner who is logged in."""


def staff_with(*roles: str) -> Callable[..., Awaitable[PageContext]]:
    """For `Annotated[PageContext, Depends(staff_with("clerk"))]`: staff with one of the roles, and admins; else 404.

    Without roles: all staff.
    """

    async def member(context: Annotated[PageContext, Depends(_submitted)]) -> PageContext:
        session = await _logged_in(context, "staff")
        if roles and not {*roles, ADMIN} & set(session.roles):
            raise Hidden
        return context

    return member


def own_path(text: str) -> str:
    """`text` if it is a path of this site, else `/`: no open redirect."""
    plain = text.isprintable() and text.isascii() and "\\" not in text
    return text if plain and text.startswith("/") and not text.startswith("//") else "/"
