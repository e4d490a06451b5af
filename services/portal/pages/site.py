"""What belongs to no group: files, help, the large type."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from services.portal.session.visits import LARGE_COOKIE, PageContextDep, context_of, own_path

FileName = Annotated[str, Path(pattern=r"^[a-z]+\.[a-z]{2,5}$")]
YEAR_SECONDS = 365 * 24 * 3600
router = APIRouter()


@router.get("/static/{name}")
async def static(request: Request, name: FileName, v: Annotated[str, Query(max_length=20)] = "") -> Response:
    """A style sheet, a module, a picture."""
    return context_of(request).portal.static.answer(name, v)


@router.get("/help")
async def help_page(visit: PageContextDep) -> Response:
    """How to get a certificate and to log in, in the guide's words."""
    return visit.page("help.html")


@router.post("/large")
async def switch_size(visit: PageContextDep) -> Response:
    """Large type on or off; back to where the person was."""
    response = visit.go(own_path(visit.form.get("next", "/")))
    if LARGE_COOKIE in visit.request.cookies:
        response.delete_cookie(LARGE_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    else:
        response.set_cookie(
            LARGE_COOKIE, "1", max_age=YEAR_SECONDS, path="/", secure=True, httponly=True, samesite="lax"
        )
    return response
