"""A visit: one request of a browser, whose it is, what was typed, and how it is answered."""

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
from services.portal.operations.processes import Monitor
from services.portal.session.sessions import COOKIE, Kind, Session, SessionOver, Sessions, cookie_hash, new_cookie
from services.portal.session.vault import EncryptedCache

COOKIE_NAME = "__Host-portal"
"""Browsers take a Secure cookie over plain HTTP from loopback addresses: a local stack needs no other name."""
LARGE_COOKIE = "__Host-large"
DEVICE_COOKIE, DEVICE_SECONDS = "__Host-device", 180 * 24 * 3600
"""Of a browser in which somebody logged in; how long it is worth something is identity's to say."""
CSRF = "csrf"
GIVEN_UP = "afresh"
"""In a page's address: without what was typed there before."""
PROOF, FRESH_PROOF_REQUIRED = "/account/proof", "fresh_proof_required"
HELD_SECONDS, HELD_BYTES = 600, 5 * 1024 * 1024
"""Of a form that waits for a fresh proof; no file that goes with one may be larger."""
MAX_FIELDS, MAX_FORM_BYTES, MAX_FILE_BYTES = 60, 256 * 1024, 10 * 1024 * 1024
"""Of a form without its file: a portrait that a card reader gave, in base64, percent-encoded, and what is typed."""


class Redirect(AppError):
    """Something has to be done first, on another page of this site."""

    def __init__(self, path: str) -> None:
        super().__init__(303, "elsewhere", "")
        self.path = path


class HeldUpload(BaseModel):
    """A form with its file, while its person proves who they are; `page` is where it stands."""

    page: str
    fields: dict[str, str]
    file: Base64Bytes | None


class PageExpired(AppError):
    """The form did not come from a page that this browser was given."""

    def __init__(self) -> None:
        super().__init__(403, "form_expired", "页面已过期，请返回上一页，刷新后重新提交")


@dataclass(frozen=True)
class Portal:
    """What pages work with."""

    backend: Backend
    sessions: Sessions
    vault: EncryptedCache
    catalogue: Catalogue
    templates: Templates
    static: StaticFiles
    printer: Printer
    sealer: Cipher
    clock: Clock
    draft_seconds: int
    fresh_seconds: int
    watch: Monitor
    letters: DeadLetters
    reader: str | None
    quotas: Quotas


@dataclass
class PageContext:
    """One request. Of a form that was submitted, `proof` tells whose it is and where it stands.

    `owner` is the person it was made for: a practitioner's or staff id, or nobody's. `form_page` is its page, where
    what was typed belongs; it is empty for a form without text. `refusal`: why its file was not taken. `restored`: what
    was typed before is in the page.
    """

    request: Request
    portal: Portal
    cookie: str
    is_new: bool
    session: Session | None = None
    form: dict[str, str] = field(default_factory=dict)
    file: bytes | None = None
    refusal: AppError | None = None
    proof: str = ""
    owner: str = ""
    form_page: str = ""
    restored: bool = False

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
        """Where the browser is, to come back to; after a form the page on which it stands."""
        if self.request.method != "GET":
            return self.form_page or self.path
        query = self.request.url.query.removesuffix(f"{GIVEN_UP}=1").rstrip("&")
        return f"{self.path}?{query}" if query else self.path

    @property
    def afresh(self) -> str:
        """The same page without what was typed there before."""
        return f"{self.here}{'&' if '?' in self.here else '?'}{GIVEN_UP}=1"

    @property
    def asker(self) -> CallerContext:
        """For whom the services are asked."""
        device = security_events.agent(self.request.scope)
        token = self.session.access_token if self.session else None
        return CallerContext(client_address(self.request), device, token)

    def csrf(self, typed: bool = True) -> str:
        """Proof of which browser and person a form was given to, and on which page; another text each time.

        `typed`: whether there is anything in it that must not be lost.
        """
        subject = self.session.subject if self.session else ""
        proof = json.dumps([subject, cookie_hash(self.cookie), self.here if typed else ""])
        return self.portal.sealer.seal(proof, CSRF)

    @property
    def own_file(self) -> PractitionerClient:
        """The file of the practitioner who is logged in, at the services."""
        return PractitionerClient(self.portal.backend, self.asker)

    async def lasting_file(self) -> PractitionerClient:
        """The same in the midst of a long answer: with a token that lasts. Raises `SessionOver`."""
        self.session = await self.portal.sessions.fresh(self.cookie, self.asker)
        return self.own_file

    def still_there(self, error: AppError) -> None:
        """Raises what no form can answer: `SessionOver` when the session has ended, and what asks for a proof."""
        if isinstance(error, Refused) and error.code == "unauthorized":
            raise SessionOver(error.reason) from error
        if error.code == FRESH_PROOF_REQUIRED:
            raise error

    @property
    def proves(self) -> str:
        """The page where its person proves who they are, before they come back here."""
        return f"{PROOF}?next={quote(self.here if self.request.method == 'GET' else self.path)}"

    def require_fresh(self, then: str) -> None:
        """For what the portal itself composes: first a fresh proof, then the page `then`. Raises `Redirect`."""
        proved = self.session.auth_time if self.session else 0
        if self.portal.clock.now().timestamp() - proved > self.portal.fresh_seconds:
            raise Redirect(f"{PROOF}?next={quote(then)}")

    def accept(self, fields: Mapping[str, str]) -> None:
        """Take the fields of a form. Raises `PageExpired` unless this browser was given it, as it is logged in now.

        Whose form it is and what was typed is known then too, unless nobody was given such a form.
        """
        self.proof = fields.get("csrf", "")
        try:
            opened = self.portal.sealer.open(self.proof, CSRF)
        except DecryptionError as error:
            raise PageExpired from error
        self.owner, browser, self.form_page = json.loads(opened)
        self.form = {name: text for name, text in fields.items() if name != "csrf"}
        if browser != cookie_hash(self.cookie):
            raise PageExpired

    def require_file(self) -> None:
        """Raises why the file of the form was not taken, if there was one that was not."""
        if self.refusal:
            raise self.refusal

    def chosen_file(self) -> bytes:
        """The file of the form. Raises 422 when none was chosen."""
        if not self.file:
            raise AppError(422, "required", "请选择要上传的文件")
        return self.file

    async def keep_draft(self) -> bool:
        """Keep what was typed, and a photo, for the person whose form it is; whether there was anything."""
        if not (self.owner and self.form_page and self.form):
            return False
        photo = self.file if self.file and len(self.file) <= PHOTO_BYTES else b""
        draft = json.dumps([self.form, base64.b64encode(photo).decode()])
        await self.portal.vault.put(_draft(self.owner, self.form_page), draft, self.portal.draft_seconds)
        return True

    async def draft(self) -> dict[str, str] | None:
        """What this person typed on this page before and has not sent, until they give it up; its photo is `file`."""
        if self.session is None or GIVEN_UP in self.request.query_params:
            return None
        kept = await self.portal.vault.get(_draft(self.session.subject, self.path))
        if kept is None:
            return None
        form, photo = json.loads(kept.text)
        self.restored = True
        self.file = base64.b64decode(photo)
        return dict(form)

    def carry(self, form: Mapping[str, str], page: str) -> None:
        """What this person typed belongs to another page from now on."""
        self.owner, self.form, self.form_page = self.session.subject if self.session else "", dict(form), page

    async def forget_draft(self) -> None:
        """The form has done its work: nothing is left to be kept."""
        with suppress(Unavailable):
            await self.portal.vault.drop(_draft(self.owner, self.form_page))

    async def done(self, path: str) -> Response:
        """On to another page after a form that has done its work."""
        await self.forget_draft()
        return self.go(path)

    async def hold(self) -> None:
        """Keep the form and its file for this browser and person until they have proved who they are."""
        file = base64.b64encode(self.file) if self.file else None
        held = HeldUpload(page=self.form_page, fields=self.form, file=file)
        await self.portal.vault.put(self._held(self.path), held.model_dump_json(), HELD_SECONDS)

    async def take_held(self, path: str) -> HeldUpload | None:
        """What `hold` kept when it was sent to `path`; it is given once."""
        kept = await self.portal.vault.take(self._held(path))
        return HeldUpload.model_validate_json(kept.text) if kept else None

    def _held(self, path: str) -> str:
        return f"held:{self.session.subject if self.session else ''}:{cookie_hash(self.cookie)}:{path}"

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

    @property
    def device(self) -> str:
        """The device token of this browser; empty before somebody logged in there."""
        token = self.request.cookies.get(DEVICE_COOKIE, "")
        return token if COOKIE.fullmatch(token) else ""

    def remember_device(self, response: Response, token: str) -> None:
        """Give the browser its device token: it stays when the session is over."""
        if token:
            response.set_cookie(
                DEVICE_COOKIE, token, DEVICE_SECONDS, path="/", secure=True, httponly=True, samesite="lax"
            )

    def go(self, path: str) -> Response:
        """On to another page, after a form."""
        return RedirectResponse(path, 303)


def context_of(request: Request) -> PageContext:
    """The visit of a request, before anybody knows whose it is."""
    cookie = request.cookies.get(COOKIE_NAME, "")
    known = COOKIE.fullmatch(cookie) is not None
    portal: Portal = request.app.state.service
    return PageContext(request, portal, cookie if known else new_cookie(), not known)


def _draft(owner: str, page: str) -> str:
    return f"draft:{owner}:{page.partition('?')[0]}"


async def _submitted(request: Request) -> PageContext:
    """A visit with what was submitted, if anything was."""
    request.state.visit = visit = context_of(request)
    if request.method == "POST":
        visit.accept(await _fields(visit))
    return visit


async def _fields(visit: PageContext) -> dict[str, str]:
    """The text fields of a form; a file, when there is one, is the visit's `file`."""
    request = visit.request
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await read_fields(request, MAX_FIELDS, MAX_FORM_BYTES)

    async def admit(fields: Mapping[str, str]) -> int:
        return await _most_of_file(visit, fields)

    read = await read_form(
        request, MAX_FILE_BYTES, file_too_large, most_fields=MAX_FIELDS, room=MAX_FORM_BYTES, admit=admit
    )
    visit.file, visit.refusal = read.file, read.refusal
    return read.fields


async def _most_of_file(visit: PageContext, fields: Mapping[str, str]) -> int:
    """How much of a file is read: for who is logged in all of it, for who was only what can wait for them.

    Raises `PageExpired` to anybody else; the token of a form stands before its file.
    """
    with suppress(PageExpired):
        visit.accept(fields)
    if not visit.owner:
        raise PageExpired
    try:
        session = None if visit.is_new else await visit.portal.sessions.find(visit.cookie)
    except Unavailable:  # the answer will say so, when all has been read
        return PHOTO_BYTES + 1
    return MAX_FILE_BYTES if session and session.subject == visit.owner else PHOTO_BYTES + 1


def file_too_large(most: int = MAX_FILE_BYTES) -> AppError:
    """A file of that many bytes or more."""
    return AppError(413, "file_too_large", f"文件过大，请选择小于 {most // 1024**2}MB 的文件")


async def _anybody(visit: Annotated[PageContext, Depends(_submitted)]) -> PageContext:
    if not visit.is_new:
        visit.session = await visit.portal.sessions.find(visit.cookie)
    visit.require_file()
    return visit


async def _logged_in(visit: PageContext, kind: Kind) -> Session:
    """The session, with a token that lasts. Raises `SessionOver`."""
    visit.session = session = await visit.portal.sessions.fresh(visit.cookie, visit.asker)
    security_events.identified(f"{session.kind}:{session.subject}")
    if session.kind != kind:
        raise Hidden
    if visit.request.method == "POST" and visit.owner != session.subject:
        raise PageExpired
    visit.require_file()
    return session


async def _practitioner(visit: Annotated[PageContext, Depends(_submitted)]) -> PageContext:
    await _logged_in(visit, "practitioner")
    return visit


PageContextDep = Annotated[PageContext, Depends(_anybody)]
"""Anybody, logged in or not."""
PersonDep = Annotated[PageContext, Depends(_practitioner)]
"""A practitioner who is logged in."""


def staff_with(*roles: str) -> Callable[..., Awaitable[PageContext]]:
    """For `Annotated[Visit, Depends(staff_with("clerk"))]`: staff with this role, and admins; 404 for the others.

    Without a role: all staff.
    """

    async def member(visit: Annotated[PageContext, Depends(_submitted)]) -> PageContext:
        session = await _logged_in(visit, "staff")
        if roles and not {*roles, ADMIN} & set(session.roles):
            raise Hidden
        return visit

    return member


def own_path(text: str) -> str:
    """`text` when it is a path on this site, else the first page: nobody is sent elsewhere."""
    plain = text.isprintable() and text.isascii() and "\\" not in text
    return text if plain and text.startswith("/") and not text.startswith("//") else "/"
