"""What a browser is told when something is wrong: a page, or the way to the login."""

from contextlib import suppress
from urllib.parse import quote

from fastapi_problem.error import Problem
from starlette.requests import Request
from starlette.responses import Response

from contracts.sessions import SENTENCES
from kit.core.errors import Unavailable
from services.portal.client.backend import Refused
from services.portal.session.sessions import SessionOver
from services.portal.session.visits import (
    FRESH_PROOF_REQUIRED,
    HELD_BYTES,
    PageContext,
    PageExpired,
    Redirect,
    context_of,
    file_too_large,
    own_path,
)

NOT_THERE = "您要找的页面不存在，或者内容已被删除。请返回首页重新查找。"
TITLES = {403: "不能继续", 404: "没有找到", 408: "没有传完", 413: "文件过大", 429: "操作过于频繁", 503: "系统繁忙"}


async def render_error(request: Request, problem: Problem) -> Response:
    """The answer to a request that failed."""
    visit: PageContext = getattr(request.state, "visit", None) or context_of(request)
    if isinstance(problem, Redirect):
        await _kept(visit)
        return visit.go(problem.path)
    if isinstance(problem, SessionOver | Refused) and problem.type == "unauthorized":
        return await _to_login(visit, problem.reason)
    if problem.type == FRESH_PROOF_REQUIRED and visit.session:
        return await _to_proof(visit)
    if isinstance(problem, PageExpired) and visit.owner:
        return await _of_another_session(visit, problem)
    return await _page(visit, problem)


async def _page(visit: PageContext, problem: Problem) -> Response:
    kept = problem.status != 404 and await _kept(visit)
    title = TITLES.get(problem.status, "出错了")
    detail = NOT_THERE if problem.status == 404 else problem.detail or ""
    again = {"csrf": visit.proof} | visit.form if visit.owner and problem.status >= 500 and not kept else {}
    response = visit.page("error.html", status=problem.status, title=title, detail=detail, kept=kept, again=again)
    response.headers.update(problem.headers or {})
    return response


async def _kept(visit: PageContext) -> bool:
    """Whether what was typed waits for its person, which takes Redis."""
    try:
        return await visit.keep_draft()
    except Unavailable:
        return False


async def _to_proof(visit: PageContext) -> Response:
    """The form is kept with its file; when its person has proved who they are, it goes on from there."""
    if visit.file and len(visit.file) > HELD_BYTES:
        return await _page(visit, file_too_large(HELD_BYTES))
    if visit.request.method == "POST":
        await visit.hold()
    return visit.go(visit.proves)


async def _of_another_session(visit: PageContext, problem: Problem) -> Response:
    """A form from before its person logged out: it waits for them, whoever is logged in now."""
    session = visit.session or (None if visit.is_new else await visit.portal.sessions.find(visit.cookie))
    if session is None:
        return await _to_login(visit, "")
    await _kept(visit)
    if session.subject == visit.owner:
        return visit.go(own_path(visit.here))
    visit.session, visit.form = session, {}
    return await _page(visit, problem)


async def _to_login(visit: PageContext, reason: str) -> Response:
    """What was typed is kept for its person; after the log-in they are back where they were."""
    visit.session = None
    if reason:  # a service may have learned of it first
        with suppress(Unavailable):
            await visit.portal.sessions.end(visit.cookie, reason)
    kept = await _kept(visit)
    back = quote(visit.here)
    staff = visit.path.startswith(("/staff", "/operators"))
    why = f"&why={reason}" if reason in SENTENCES else ""
    silent = why or visit.path == "/" or visit.is_new
    note = "&note=kept" if kept else "" if silent else "&note=over"
    return visit.go(f"{'/staff/login' if staff else '/login'}?next={back}{why}{note}")
