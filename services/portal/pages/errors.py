"""Responses to errors: a page, or a redirect to the log-in or to the page for authenticating again."""

from contextlib import suppress
from urllib.parse import quote

from fastapi_problem.error import Problem
from starlette.requests import Request
from starlette.responses import Response

from contracts.sessions import SENTENCES
from kit.core.errors import Unavailable
from services.portal.client.backend import Refused
from services.portal.session.page_context import (
    FRESH_PROOF_REQUIRED,
    HELD_BYTES,
    PageContext,
    PageExpired,
    Redirect,
    context_of,
    file_too_large,
    own_path,
)
from services.portal.session.sessions import SessionOver

NOT_FOUND = "您要找的页面不存在，或者内容已被删除。请返回首页重新查找。"
TITLES = {403: "不能继续", 404: "没有找到", 408: "没有传完", 413: "文件过大", 429: "操作过于频繁", 503: "系统繁忙"}


async def render_error(request: Request, problem: Problem) -> Response:
    """The response to a request that failed."""
    context: PageContext = getattr(request.state, "context", None) or context_of(request)
    if isinstance(problem, Redirect):
        await _save_draft(context)
        return context.redirect(problem.path)
    if isinstance(problem, SessionOver | Refused) and problem.type == "unauthorized":
        return await _to_login(context, problem.reason)
    if problem.type == FRESH_PROOF_REQUIRED and context.session:
        return await _to_proof(context)
    if isinstance(problem, PageExpired) and context.owner:
        return await _earlier_session(context, problem)
    return await _page(context, problem)


async def _page(context: PageContext, problem: Problem) -> Response:
    saved = problem.status != 404 and await _save_draft(context)
    title = TITLES.get(problem.status, "出错了")
    detail = NOT_FOUND if problem.status == 404 else problem.detail or ""
    again = {"csrf": context.csrf_token} | context.form if context.owner and problem.status >= 500 and not saved else {}
    response = context.render("error.html", status=problem.status, title=title, detail=detail, saved=saved, again=again)
    response.headers.update(problem.headers or {})
    return response


async def _save_draft(context: PageContext) -> bool:
    """Save a draft of the form. False if there is nothing to save, or Redis is unavailable."""
    try:
        return await context.save_draft()
    except Unavailable:
        return False


async def _to_proof(context: PageContext) -> Response:
    """Hold the form with its file, and redirect to the page for authenticating again, which then submits it."""
    if context.file and len(context.file) > HELD_BYTES:
        return await _page(context, file_too_large(HELD_BYTES))
    if context.request.method == "POST":
        await context.hold_upload()
    return context.redirect(context.proof_path)


async def _earlier_session(context: PageContext, problem: Problem) -> Response:
    """A form of an earlier session: saved as a draft of its owner, whoever is logged in now."""
    session = context.session or (None if context.is_new else await context.portal.sessions.find(context.cookie))
    if session is None:
        return await _to_login(context, "")
    await _save_draft(context)
    if session.subject == context.owner:
        return context.redirect(own_path(context.return_path))
    context.session, context.form = session, {}
    return await _page(context, problem)


async def _to_login(context: PageContext, reason: str) -> Response:
    """Save a draft, and redirect to the log-in, which leads back here."""
    context.session = None
    if reason:  # known from a service, perhaps before the portal's own notice of ended sessions
        with suppress(Unavailable):
            await context.portal.sessions.end(context.cookie, reason)
    saved = await _save_draft(context)
    return_path = quote(context.return_path)
    staff = context.path.startswith(("/staff", "/operators"))
    why = f"&why={reason}" if reason in SENTENCES else ""
    silent = why or context.path == "/" or context.is_new
    note = "&note=kept" if saved else "" if silent else "&note=over"
    return context.redirect(f"{'/staff/login' if staff else '/login'}?next={return_path}{why}{note}")
