"""Passkeys of staff: log in with one, see, add and remove one's own."""

from collections.abc import Mapping

from fastapi import APIRouter
from starlette.responses import Response

from kit.core.errors import AppError
from kit.http.routes import Id
from services.portal.client.passkeys import PasskeyCalls
from services.portal.pages.session.staff import MemberDep, Next, after_login, open_session, staff_path
from services.portal.session.forms import code_of, errors_of
from services.portal.session.page_context import PageContext, PageContextDep

FIELDS = {"name": "名称", "password": "密码", "totp": "动态口令"}
LOGIN, LIST = "/staff/login/passkey", "/staff/passkeys"
router = APIRouter()


def _calls(context: PageContext) -> PasskeyCalls:
    return PasskeyCalls(context.portal.backend, context.caller)


@router.get(LOGIN)
async def show_login(context: PageContextDep, next: Next = "/staff") -> Response:  # noqa: A002  # the word in the address
    """The page whose script asks for a passkey."""
    if context.session and context.session.kind == "staff":
        return context.redirect(staff_path(next))
    return await _login_page(context, next)


async def _login_page(context: PageContext, path: str, error: AppError | None = None) -> Response:
    challenge = await _calls(context).login_challenge()
    return context.render(
        "session/passkey_login.html", status=error.status if error else 200, next=staff_path(path),
        challenge_id=challenge.challenge_id, options=challenge.text, problem=str(error.detail) if error else "",
    )  # fmt: skip


@router.post(LOGIN)
async def log_in(context: PageContextDep) -> Response:
    """Log in; the session gets a new cookie."""
    path = context.form.get("next", "/staff")
    try:
        tokens = await _calls(context).log_in(context.form)
    except AppError as error:
        if error.status not in (401, 422):
            raise
        return await _login_page(context, path, error)
    return await open_session(context, tokens.username, tokens, after_login(tokens, path))


@router.get(LIST)
async def show_all(context: MemberDep, note: str = "") -> Response:
    """One's own passkeys, and the form to add one."""
    return await _list(context, note=note)


async def _list(
    context: PageContext, error: AppError | None = None, values: Mapping[str, str] | None = None, note: str = ""
) -> Response:
    response = context.render(
        "session/passkeys.html", status=error.status if error else 200, passkeys=await _calls(context).own(),
        titles=FIELDS, values=values or {}, note=note, errors=errors_of(error) if error else {},
        problem=str(error.detail) if error else "", wait=(error.headers or {}).get("retry-after", "") if error else "",
    )  # fmt: skip
    response.headers.update(error.headers or {} if error else {})
    return response


@router.post(LIST)
async def begin(context: MemberDep) -> Response:
    """Check both factors; then the page whose script creates the passkey."""
    name = context.form.get("name", "").strip()
    try:
        password, totp = context.form.get("password", ""), code_of(context.form, "totp")
        challenge = await _calls(context).creation_challenge(password, totp)
    except AppError as error:
        context.raise_session_errors(error)
        return await _list(context, error, {"name": name})
    return context.render(
        "session/passkey_creation.html", name=name or "通行密钥", challenge_id=challenge.challenge_id,
        options=challenge.text,
    )  # fmt: skip


@router.post(f"{LIST}/created")
async def add(context: MemberDep) -> Response:
    """Add the passkey that the browser created."""
    try:
        await _calls(context).add(context.form)
    except AppError as error:
        context.raise_session_errors(error)
        return await _list(context, error, {"name": context.form.get("name", "")})
    return context.redirect(f"{LIST}?note=passkey_added")


@router.get(f"{LIST}/{{passkey_id}}")
async def back(context: MemberDep) -> Response:
    """The page with the forms, if the address of one is opened."""
    return context.redirect(LIST)


@router.post(f"{LIST}/{{passkey_id}}")
async def remove(context: MemberDep, passkey_id: Id) -> Response:
    """Remove a passkey: this browser stays logged in, all others are logged out."""
    try:
        await _calls(context).remove(passkey_id)
    except AppError as error:
        context.raise_session_errors(error)
        if error.status != 404:
            raise
    return context.redirect(f"{LIST}?note=passkey_removed")
