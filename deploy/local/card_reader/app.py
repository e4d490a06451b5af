"""The HTTP app: `GET /card` for the portal's page (docs/card-reader.md), a tray for people and tests."""

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from deploy.local.card_reader.cards import CARDS
from deploy.local.card_reader.page import tray_page
from deploy.local.ports import HOST

Card = Mapping[str, Any]
_ALLOWED = {"Access-Control-Allow-Private-Network": "true", "Vary": "Origin", "Cache-Control": "no-store"}


class Tray:
    """Holds the card on the reader, or none."""

    card: Card | None = None


def create_app(pages: str, host: str = HOST) -> Starlette:
    """`pages` is the only origin whose pages may read cards."""
    tray = Tray()

    async def read(request: Request) -> Response:
        if request.headers.get("origin") != pages:
            return JSONResponse({"code": "origin_not_allowed"}, 403)
        card = JSONResponse(tray.card) if tray.card else JSONResponse({"code": "no_card"}, 404)
        answer = Response(status_code=204) if request.method == "OPTIONS" else card
        answer.headers.update(_ALLOWED | {"Access-Control-Allow-Origin": pages})
        return answer

    async def page(_request: Request) -> Response:
        return HTMLResponse(tray_page(tray.card, {name: title for name, (title, _) in CARDS.items()}))

    async def lay(request: Request) -> Response:
        """Take the card as JSON from a test (null removes it), or its name in a form from the page."""
        if request.headers.get("content-type", "").startswith("application/json"):
            tray.card = await request.json()
            return JSONResponse({})
        name = str((await request.form()).get("card"))
        tray.card = CARDS[name][1]() if name in CARDS else None
        return RedirectResponse("/", 303)

    return Starlette(
        routes=[
            Route("/card", read, methods=["GET", "OPTIONS"]),
            Route("/", page, methods=["GET"]),
            Route("/tray", lay, methods=["POST"]),
        ],
        # against DNS rebinding: another site's name may resolve to this address
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[host])],
    )
