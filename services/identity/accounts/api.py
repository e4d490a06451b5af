"""Routes of accounts: staff log in and change their password, admins manage accounts, API clients get tokens."""

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Path, Request

from kit.core.errors import AppError
from kit.http.callers import CallerDep, basic_credentials, client_address
from kit.http.paging import After, Page, write_cursor
from kit.http.routes import UUID_PATTERN, Id, Limit, StrictRoute
from kit.security import security_events
from kit.security.tokens import Caller
from services.identity.accounts.bodies import (
    ClientTokenOut,
    FactorsIn,
    HandedOut,
    NewPasskeyIn,
    PasskeyChallengeOut,
    PasskeyOut,
    PasskeySessionIn,
    PasswordIn,
    ResetIn,
    StaffOut,
    StaffSessionIn,
    StaffSessionOut,
)
from services.identity.api import ApiDep, Device

StaffIdOrMe = Annotated[str, Path(pattern=rf"{UUID_PATTERN}|^me$", description="a staff account's id, or `me`")]
router = APIRouter(prefix="/api/identity", route_class=StrictRoute)


@router.post("/staff/sessions", status_code=201)
async def log_in_staff(
    services: ApiDep, request: Request, body: StaffSessionIn, user_agent: Device = ""
) -> StaffSessionOut:
    """Log in as clerk, admin or operator."""
    tokens, staff = await services.accounts.log_in(
        body.username, body.password, body.totp, client_address(request), user_agent
    )
    return StaffSessionOut.of(tokens, staff)


@router.post("/staff/passkey-challenges", status_code=201)
async def challenge_passkey(services: ApiDep, request: Request) -> PasskeyChallengeOut:
    """What the browser asks any passkey of this site for; valid once, for a few minutes."""
    return PasskeyChallengeOut.of(await services.passkeys.begin_login(client_address(request)))


@router.post("/staff/passkey-sessions", status_code=201)
async def log_in_with_passkey(
    services: ApiDep, request: Request, body: PasskeySessionIn, user_agent: Device = ""
) -> StaffSessionOut:
    """Log in as clerk, admin or operator with a passkey, which replaces user name, password and TOTP code."""
    response = body.credential.model_dump(by_alias=True)
    tokens, staff = await services.passkeys.log_in(body.challenge_id, response, client_address(request), user_agent)
    return StaffSessionOut.of(tokens, staff)


@router.post("/staff/me/passkeys/challenges", status_code=201)
async def begin_passkey(services: ApiDep, caller: CallerDep, request: Request, body: FactorsIn) -> PasskeyChallengeOut:
    """What the browser creates a passkey for the caller with; needs both factors. Valid once, for a few minutes."""
    address = client_address(request)
    return PasskeyChallengeOut.of(await services.passkeys.begin(caller, body.password, body.totp, address))


@router.post("/staff/me/passkeys", status_code=201)
async def add_passkey(services: ApiDep, caller: CallerDep, body: NewPasskeyIn) -> PasskeyOut:
    """Add the passkey that the browser created."""
    response = body.credential.model_dump(by_alias=True)
    return PasskeyOut.of(await services.passkeys.add(caller, body.challenge_id, body.name, response))


@router.get("/staff/{staff_id}/passkeys")
async def list_passkeys(services: ApiDep, caller: CallerDep, staff_id: StaffIdOrMe) -> Page[PasskeyOut]:
    """The passkeys of an account, for its owner and admins."""
    found = await services.staff.passkeys(caller, _own(caller, staff_id))
    return Page(items=[PasskeyOut.of(each) for each in found], next_cursor=None)


@router.delete("/staff/{staff_id}/passkeys/{passkey_id}", status_code=204)
async def remove_passkey(services: ApiDep, caller: CallerDep, staff_id: StaffIdOrMe, passkey_id: Id) -> None:
    """Remove a passkey, for its owner and admins: the account's sessions end, except the owner's current one."""
    await services.staff.remove_passkey(caller, _own(caller, staff_id), passkey_id)


def _own(caller: Caller, staff_id: str) -> str:
    return caller.subject if staff_id == "me" else staff_id


@router.post("/staff/password")
async def change_password(services: ApiDep, caller: CallerDep, request: Request, body: PasswordIn) -> StaffSessionOut:
    """Change the caller's own password: their other sessions end, this one continues with the returned tokens."""
    address = client_address(request)
    tokens, staff = await services.staff.change_password(caller, body.password, body.totp, body.new_password, address)
    return StaffSessionOut.of(tokens, staff)


@router.get("/staff")
async def list_staff(services: ApiDep, caller: CallerDep, after: After, limit: Limit = 50) -> Page[StaffOut]:
    """The accounts of staff, newest first."""
    accounts, following = await services.staff.page(caller, after, limit)
    return Page(items=[StaffOut.of(staff) for staff in accounts], next_cursor=write_cursor(following))


@router.post("/staff/{staff_id}/disable")
async def disable_staff(services: ApiDep, caller: CallerDep, staff_id: Id) -> StaffOut:
    """Disable an account of staff, and end its sessions."""
    return StaffOut.of(await services.staff.disable(caller, staff_id))


@router.post("/staff/{staff_id}/enable")
async def enable_staff(services: ApiDep, caller: CallerDep, staff_id: Id) -> StaffOut:
    """Enable an account of staff again."""
    return StaffOut.of(await services.staff.enable(caller, staff_id))


@router.post("/staff/{staff_id}/reset")
async def reset_staff(services: ApiDep, caller: CallerDep, staff_id: Id, body: ResetIn) -> HandedOut:
    """Generate a temporary password or a TOTP secret for an account, or remove its passkeys; its sessions end."""
    made = await services.staff.reset(caller, staff_id, **body.model_dump())
    return HandedOut.model_validate(asdict(made))


@router.post("/oauth/token")
async def client_token(
    services: ApiDep,
    request: Request,
    grant_type: Annotated[Literal["client_credentials"], Form()],
    scope: Annotated[str, Form(max_length=1000)] = "",
) -> ClientTokenOut:
    """An access token for an API client (client credentials, HTTP basic)."""
    client_id, secret = _basic(request)
    token, seconds, scopes = await services.accounts.client_token(client_id, secret, scope, client_address(request))
    return ClientTokenOut(access_token=token, expires_in=seconds, scope=" ".join(scopes))


def _basic(request: Request) -> tuple[str, str]:
    given = basic_credentials(request)
    if given is None:
        security_events.attempt("client_token")
        raise AppError(
            401, "invalid_client", "缺少客户端认证信息", headers={"WWW-Authenticate": "Basic"}, error="invalid_client"
        )
    return given
