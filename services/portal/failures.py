"""What a browser is told when something is wrong: a page, or the way to the login."""

from urllib.parse import quote

from fastapi_problem.error import Problem
from starlette.requests import Request
from starlette.responses import Response

from kit.errors import Unavailable
from services.portal.sessions import SessionOver
from services.portal.visits import Elsewhere, Visit, visit_of

NOT_THERE = "您要找的页面不存在，或者内容已被删除。请返回首页重新查找。"
TITLES = {403: "不能继续", 404: "没有找到", 413: "文件过大", 429: "操作过于频繁", 503: "系统繁忙"}


async def render_error(request: Request, problem: Problem) -> Response:
    """The answer to a request that failed."""
    visit: Visit = getattr(request.state, "visit", None) or visit_of(request)
    if isinstance(problem, Elsewhere):
        return visit.go(problem.path)
    if isinstance(problem, SessionOver) or problem.type == "unauthorized":
        return await _to_login(visit)
    kept = problem.status >= 500 and await _kept(visit)
    title = TITLES.get(problem.status, "出错了")
    detail = NOT_THERE if problem.status == 404 else problem.detail or ""
    response = visit.page("error.html", status=problem.status, title=title, detail=detail, kept=kept)
    response.headers.update(problem.headers or {})
    return response


async def _kept(visit: Visit) -> bool:
    """Whether what was typed waits for its person: a service is away, but Redis may be there."""
    try:
        return await visit.keep_draft()
    except Unavailable:
        return False


async def _to_login(visit: Visit) -> Response:
    """What was typed is kept for its person; after the log-in they are back where they were."""
    visit.session = None
    await visit.keep_draft()
    back = quote(visit.here)
    staff = visit.path.startswith(("/staff", "/operators"))
    note = "" if visit.path == "/" else "&note=kept" if visit.form else "&note=over"
    return visit.go(f"{'/staff/login' if staff else '/login'}?next={back}{note}")
