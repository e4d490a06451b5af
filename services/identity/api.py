"""What the routers of identity share, and the public keys of access tokens."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response

from kit.core.clock import Clock
from kit.http.routes import Out, StrictRoute
from kit.security.tokens import TokenIssuer
from services.identity.accounts.service import AccountService
from services.identity.accounts.staff import StaffAccounts
from services.identity.captcha.service import Captchas
from services.identity.certificates.rebindings import Rebindings
from services.identity.certificates.service import Certificates
from services.identity.erasures.service import Erasures
from services.identity.login.codes import Codes
from services.identity.login.proofs import Proofs
from services.identity.login.service import LoginService
from services.identity.login.sessions import Sessions
from services.identity.practitioners.access_log import AccessLog
from services.identity.practitioners.lookups import Lookups
from services.identity.practitioners.service import PractitionerService
from services.identity.throttle import Throttle


class KeysOut(Out):
    """A JWKS document (RFC 7517)."""

    keys: list[dict[str, str]]


@dataclass(frozen=True)
class ApiDependencies:
    """The objects that the routes call."""

    practitioners: PractitionerService
    lookups: Lookups
    certificates: Certificates
    rebindings: Rebindings
    codes: Codes
    captchas: Captchas
    login: LoginService
    sessions: Sessions
    proofs: Proofs
    accounts: AccountService
    staff: StaffAccounts
    accesses: AccessLog
    erasures: Erasures
    throttle: Throttle
    issuer: TokenIssuer
    clock: Clock


async def _services(request: Request) -> ApiDependencies:
    services: ApiDependencies = request.app.state.service
    return services


ApiDep = Annotated[ApiDependencies, Depends(_services)]
Device = Annotated[str, Header(alias="user-agent", max_length=400)]
router = APIRouter(prefix="/api/identity", route_class=StrictRoute)


@router.get("/.well-known/jwks.json")
async def keys(services: ApiDep, response: Response) -> KeysOut:
    """The public keys that verify access tokens."""
    response.headers["Cache-Control"] = "public, max-age=60"
    return KeysOut.model_validate(services.issuer.public_keys())
