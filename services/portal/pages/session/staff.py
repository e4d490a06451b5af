"""Log-in and password of staff."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from kit.core.errors import AppError, InvalidFields
from kit.security.tokens import ADMIN
from services.portal.client.models import Tokens
from services.portal.client.staff import StaffCalls
from services.portal.session.forms import code_of, errors_of
from services.portal.session.page_context import PageContext, PageContextDep, own_path, staff_with

FIELDS = {"username": "用户名", "password": "密码", "totp": "动态口令"}
PASSWORD_FIELDS = {"password": "原密码", "totp": "动态口令", "new_password": "新密码", "again": "再次输入新密码"}
PASSWORD = "/staff/password"  # noqa: S105  # a page's address
MemberDep = Annotated[PageContext, Depends(staff_with())]
"""Staff with any role, or none yet."""
Next = Annotated[str, Query(max_length=500)]
router = APIRouter()


@router.get("/staff/login")
async def show(context: PageContextDep, next: Next = "/staff", note: str = "", why: str = "") -> Response:  # noqa: A002  # the word in the address
    """The form."""
    if context.session and context.session.kind == "staff":
        return context.redirect(staff_path(next))
    return _form(context, {"next": staff_path(next)}, notes=(why, note))


def staff_path(text: str) -> str:
    """The page after the log-in: `text` if it is a page for staff on this site."""
    path = own_path(text)
    return path if path.startswith(("/staff", "/operators")) else "/staff"


def _form(
    context: PageContext, values: dict[str, str], error: AppError | None = None, notes: Sequence[str] = ()
) -> Response:
    """The page with the user name that was typed, but without secrets."""
    response = context.render(
        "session/staff_login.html", status=error.status if error else 200, values=values, titles=FIELDS, to_note=notes,
        errors=errors_of(error) if error else {}, problem=error.detail if error else "",
        wait=(error.headers or {}).get("retry-after", "") if error else "",
    )  # fmt: skip
    response.headers.update(error.headers or {} if error else {})
    return response


@router.post("/staff/login")
async def log_in(context: PageContextDep) -> Response:
    """Log in; the session gets a new cookie."""
    form = context.form
    username = form.get("username", "")
    calls = StaffCalls(context.portal.backend, context.caller)
    try:
        tokens = await calls.log_in(username, form.get("password", ""), code_of(form, "totp"))
    except AppError as error:
        return _form(context, {"username": username, "next": form.get("next", "/staff")}, error)
    return await open_session(context, username, tokens, after_login(tokens, form.get("next", "/staff")))


def after_login(tokens: Tokens, path: str) -> str:
    """The page after a log-in: for a temporary password the one to choose another, else `path` if it is for staff."""
    return f"{PASSWORD}?note=password_made" if tokens.password_change_required else staff_path(path)


async def open_session(context: PageContext, username: str, tokens: Tokens, path: str) -> Response:
    """Open a session under a new cookie, and redirect to `path`."""
    cookie = await context.portal.sessions.open("staff", tokens.staff_id, username, tokens)
    response = context.redirect(path)
    context.set_cookie(response, cookie)
    return response


@router.get(PASSWORD)
async def show_password(context: MemberDep, note: str = "") -> Response:
    """The form to change the password."""
    return _password_form(context, note=note)


def _password_form(context: PageContext, error: AppError | None = None, note: str = "") -> Response:
    response = context.render(
        "session/staff_password.html", status=error.status if error else 200, titles=PASSWORD_FIELDS, note=note,
        errors=errors_of(error) if error else {}, problem=_problem(error),
        wait=(error.headers or {}).get("retry-after", "") if error else "",
    )  # fmt: skip
    response.headers.update(error.headers or {} if error else {})
    return response


def _problem(error: AppError | None) -> str:
    return str(error.detail) if error else ""


@router.post(PASSWORD)
async def change_password(context: MemberDep) -> Response:
    """Change the password: this browser stays logged in, all others are logged out."""
    form = context.form
    if form.get("new_password", "") != form.get("again", ""):
        return _password_form(context, InvalidFields.one("again", "not_the_same", "两次填写的新密码不一致"))
    body = {name: form.get(name, "") for name in ("password", "new_password")} | {"totp": code_of(form, "totp")}
    try:
        tokens = await StaffCalls(context.portal.backend, context.caller).change_password(body)
    except AppError as error:
        context.raise_session_errors(error)
        return _password_form(context, error)
    name = context.session.name if context.session else ""
    old_cookie = context.cookie
    response = await open_session(context, name, tokens, f"{PASSWORD}?note=password_saved")
    await context.portal.sessions.delete(old_cookie)
    return response


@router.get("/staff")
async def home(context: MemberDep) -> Response:
    """Redirect to the first page for the person's roles."""
    roles = context.session.roles if context.session else []
    if not roles:
        return context.redirect(f"{PASSWORD}?note=password_made")
    return context.redirect("/staff/find" if {"clerk", ADMIN} & set(roles) else "/operators")
