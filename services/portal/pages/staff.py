"""Staff log in with both factors, and find their pages."""

import unicodedata
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from kit.auth import ADMIN
from kit.errors import AppError
from services.portal.forms import errors_of
from services.portal.staff_calls import StaffCalls
from services.portal.visits import Visit, VisitDep, own_path, staff_with

FIELDS = {"username": "用户名", "password": "密码", "totp": "动态口令"}
Next = Annotated[str, Query(max_length=500)]
router = APIRouter()


@router.get("/staff/login")
async def show(visit: VisitDep, next: Next = "/staff", note: str = "", why: str = "") -> Response:  # noqa: A002  # the word in the address
    """The form."""
    if visit.session and visit.session.kind == "staff":
        return visit.go(_staff_path(next))
    return _form(visit, {"next": _staff_path(next)}, notes=(why, note))


def _staff_path(text: str) -> str:
    """Where the log-in leads: to a page of staff on this site."""
    path = own_path(text)
    return path if path.startswith(("/staff", "/operators")) else "/staff"


def _form(visit: Visit, values: dict[str, str], error: AppError | None = None, notes: Sequence[str] = ()) -> Response:
    """With the name that was typed; never with what is secret."""
    response = visit.page(
        "staff/login.html", status=error.status if error else 200, values=values, titles=FIELDS, to_note=notes,
        errors=errors_of(error) if error else {}, problem=error.detail if error else "",
        wait=(error.headers or {}).get("retry-after", "") if error else "",
    )  # fmt: skip
    response.headers.update(error.headers or {} if error else {})
    return response


@router.post("/staff/login")
async def log_in(visit: VisitDep) -> Response:
    """Log in; the session gets a cookie of its own."""
    form = visit.form
    username = form.get("username", "")
    totp = unicodedata.normalize("NFKC", form.get("totp", "")).replace(" ", "")
    try:
        tokens = await StaffCalls(visit.portal.backend, visit.asker).log_in(username, form.get("password", ""), totp)
    except AppError as error:
        return _form(visit, {"username": username, "next": form.get("next", "/staff")}, error)
    cookie = await visit.portal.sessions.open("staff", tokens.staff_id, username, tokens)
    response = visit.go(_staff_path(form.get("next", "/staff")))
    visit.remember(response, cookie)
    return response


@router.get("/staff")
async def home(visit: Annotated[Visit, Depends(staff_with("clerk", "operator"))]) -> Response:
    """On to what the roles are for."""
    roles = visit.session.roles if visit.session else []
    return visit.go("/staff/find" if {"clerk", ADMIN} & set(roles) else "/operators")
