"""The admins' page of requests that another admin approves: new accounts, roles, credentials."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from kit.core.errors import AppError
from kit.http.routes import Id
from kit.security.tokens import ADMIN
from services.portal.client.approvals import ApprovalCalls
from services.portal.session.forms import errors_of
from services.portal.session.page_context import PageContext, staff_with
from services.portal.wording import STAFF_ROLES

LIST = "/operators/approvals"
TITLES = {"asked": "申请事项", "username": "用户名", "roles": "角色", "reason": "申请原因"}
WITH_ROLES = ("create", "roles")
AdminDep = Annotated[PageContext, Depends(staff_with(ADMIN))]
Cursor = Annotated[str, Query(max_length=200)]
router = APIRouter()


def _calls(context: PageContext) -> ApprovalCalls:
    return ApprovalCalls(context.portal.backend, context.caller)


@router.get(LIST)
async def show_all(context: AdminDep, cursor: Cursor = "", note: str = "") -> Response:
    """The requests, newest first, and the form for a new one."""
    return await _page(context, cursor=cursor, note=note)


async def _page(
    context: PageContext, error: AppError | None = None, values: Mapping[str, str] | None = None, *, cursor: str = "",
    note: str = "",
) -> Response:  # fmt: skip
    page = await _calls(context).page(cursor)
    return context.render(
        "operations/approvals.html", status=error.status if error else 200, page=page, cursor=cursor, note=note,
        titles=TITLES, values=values or {}, errors=errors_of(error) if error else {},
        problem=str(error.detail) if error else "",
    )  # fmt: skip


@router.post(LIST)
async def request(context: AdminDep) -> Response:
    """Request a change, which another admin approves."""
    form = context.form
    asked = form.get("asked", "")
    roles = [role for role in STAFF_ROLES if form.get(f"role_{role}")] if asked in WITH_ROLES else []
    try:
        await _calls(context).request(asked, form.get("username", "").strip(), roles, form.get("reason", ""))
    except AppError as error:
        context.raise_session_errors(error)
        return await _page(context, error, form)
    return context.redirect(f"{LIST}?note=approval_requested")


@router.get(f"{LIST}/{{approval_id}}")
async def back(context: AdminDep) -> Response:
    """The page with the forms, if the address of one is opened."""
    return context.redirect(LIST)


@router.post(f"{LIST}/{{approval_id}}")
async def decide(context: AdminDep, approval_id: Id) -> Response:
    """Approve a request, refuse it, or withdraw one's own; generated credentials are shown once."""
    calls = _calls(context)
    try:
        if context.form.get("decision") != "approve":
            await calls.refuse(approval_id)
            return context.redirect(f"{LIST}?note=approval_refused")
        approved = await calls.approve(approval_id)
    except AppError as error:
        context.raise_session_errors(error)
        return await _page(context, error)
    if approved.credentials is None:
        return context.redirect(f"{LIST}?note=approval_done")
    return context.render("operations/approved.html", one=approved, made=approved.credentials)
