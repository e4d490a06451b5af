"""Staff log in with both factors, and find their pages."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from kit.core.errors import AppError, InvalidFields
from kit.security.tokens import ADMIN
from services.portal.client.answers import Tokens
from services.portal.client.staff import StaffCalls
from services.portal.session.forms import errors_of
from services.portal.session.visits import PageContext, PageContextDep, own_path, staff_with

FIELDS = {"username": "用户名", "password": "密码", "totp": "动态口令"}
PASSWORD_FIELDS = {"password": "原密码", "totp": "动态口令", "new_password": "新密码", "again": "再次输入新密码"}
PASSWORD = "/staff/password"  # noqa: S105  # a page's address
MemberDep = Annotated[PageContext, Depends(staff_with())]
"""Staff of whatever role, also of none yet."""
Next = Annotated[str, Query(max_length=500)]
router = APIRouter()


@router.get("/staff/login")
async def show(visit: PageContextDep, next: Next = "/staff", note: str = "", why: str = "") -> Response:  # noqa: A002  # the word in the address
    """The form."""
    if visit.session and visit.session.kind == "staff":
        return visit.go(_staff_path(next))
    return _form(visit, {"next": _staff_path(next)}, notes=(why, note))


def _staff_path(text: str) -> str:
    """Where the log-in leads: to a page of staff on this site."""
    path = own_path(text)
    return path if path.startswith(("/staff", "/operators")) else "/staff"


def _form(
    visit: PageContext, values: dict[str, str], error: AppError | None = None, notes: Sequence[str] = ()
) -> Response:
    """With the name that was typed; never with what is secret."""
    response = visit.page(
        "session/staff_login.html", status=error.status if error else 200, values=values, titles=FIELDS, to_note=notes,
        errors=errors_of(error) if error else {}, problem=error.detail if error else "",
        wait=(error.headers or {}).get("retry-after", "") if error else "",
    )  # fmt: skip
    response.headers.update(error.headers or {} if error else {})
    return response


def _totp(form: Mapping[str, str]) -> str:
    """A code as it was meant: full-width digits and blanks come from some keyboards."""
    return unicodedata.normalize("NFKC", form.get("totp", "")).replace(" ", "")


@router.post("/staff/login")
async def log_in(visit: PageContextDep) -> Response:
    """Log in; the session gets a cookie of its own."""
    form = visit.form
    username = form.get("username", "")
    calls = StaffCalls(visit.portal.backend, visit.asker)
    try:
        tokens = await calls.log_in(username, form.get("password", ""), _totp(form))
    except AppError as error:
        return _form(visit, {"username": username, "next": form.get("next", "/staff")}, error)
    to = (
        f"{PASSWORD}?note=password_made" if tokens.password_change_required else _staff_path(form.get("next", "/staff"))
    )
    return await _opened(visit, username, tokens, to)


async def _opened(visit: PageContext, username: str, tokens: Tokens, to: str) -> Response:
    """A session under a new cookie."""
    cookie = await visit.portal.sessions.open("staff", tokens.staff_id, username, tokens)
    response = visit.go(to)
    visit.remember(response, cookie)
    return response


@router.get(PASSWORD)
async def show_password(visit: MemberDep, note: str = "") -> Response:
    """The form for another password."""
    return _password_form(visit, note=note)


def _password_form(visit: PageContext, error: AppError | None = None, note: str = "") -> Response:
    response = visit.page(
        "session/staff_password.html", status=error.status if error else 200, titles=PASSWORD_FIELDS, note=note,
        errors=errors_of(error) if error else {}, problem=_problem(error),
        wait=(error.headers or {}).get("retry-after", "") if error else "",
    )  # fmt: skip
    response.headers.update(error.headers or {} if error else {})
    return response


def _problem(error: AppError | None) -> str:
    return str(error.detail) if error else ""


@router.post(PASSWORD)
async def change_password(visit: MemberDep) -> Response:
    """Choose another password: this browser stays logged in, all others are logged out."""
    form = visit.form
    if form.get("new_password", "") != form.get("again", ""):
        return _password_form(visit, InvalidFields.one("again", "not_the_same", "两次填写的新密码不一致"))
    body = {name: form.get(name, "") for name in ("password", "new_password")} | {"totp": _totp(form)}
    try:
        tokens = await StaffCalls(visit.portal.backend, visit.asker).change_password(body)
    except AppError as error:
        visit.still_there(error)
        return _password_form(visit, error)
    name, former = (visit.session.name if visit.session else ""), visit.cookie
    response = await _opened(visit, name, tokens, f"{PASSWORD}?note=password_saved")
    await visit.portal.sessions.forget(former)
    return response


@router.get("/staff")
async def home(visit: MemberDep) -> Response:
    """On to what the roles are for."""
    roles = visit.session.roles if visit.session else []
    if not roles:
        return visit.go(f"{PASSWORD}?note=password_made")
    return visit.go("/staff/find" if {"clerk", ADMIN} & set(roles) else "/operators")
