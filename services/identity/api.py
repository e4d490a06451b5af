"""What the routers of identity share, and the public keys of access tokens."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response

from kit.http.routes import Out, StrictRoute
from services.identity.service import UseCases


class KeysOut(Out):
    """A JWKS document (RFC 7517)."""

    keys: list[dict[str, str]]


async def _services(request: Request) -> UseCases:
    services: UseCases = request.app.state.service
    return services


ApiDep = Annotated[UseCases, Depends(_services)]
Device = Annotated[str, Header(alias="user-agent", max_length=400)]
router = APIRouter(prefix="/api/identity", route_class=StrictRoute)


@router.get("/.well-known/jwks.json")
async def keys(services: ApiDep, response: Response) -> KeysOut:
    """The public keys that verify access tokens."""
    response.headers["Cache-Control"] = "public, max-age=60"
    return KeysOut.model_validate(services.issuer.public_keys())
