"""Static files, the help page, and the switch for large type."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from services.portal.session.page_context import LARGE_COOKIE, PageContextDep, context_of, own_path

FileName = Annotated[str, Path(pattern=r"^[a-z_]+\.[a-z]{2,5}$")]
YEAR_SECONDS = 365 * 24 * 3600
router = APIRouter()


@router.get("/static/{name}")
async def static(request: Request, name: FileName, v: Annotated[str, Query(max_length=20)] = "") -> Response:
    """A style sheet, script or image."""
    return context_of(request).portal.static.answer(name, v)


@router.get("/help")
async def help_page(context: PageContextDep) -> Response:
    """How to apply for a certificate and log in, as in the guide."""
    return context.render("help.html")


@router.post("/large")
async def switch_size(context: PageContextDep) -> Response:
    """Switch large type on or off, and return to the page."""
    response = context.redirect(own_path(context.form.get("next", "/")))
    if LARGE_COOKIE in context.request.cookies:
        response.delete_cookie(LARGE_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    else:
        response.set_cookie(
            LARGE_COOKIE, "1", max_age=YEAR_SECONDS, path="/", secure=True, httponly=True, samesite="lax"
        )
    return response
