"""Routes of accounts: staff log in and change their password, admins manage accounts, API clients get tokens."""

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request

from kit.core.errors import AppError
from kit.http.callers import CallerDep, basic_credentials, client_address
from kit.http.paging import After, Page, write_cursor
from kit.http.routes import Id, Limit, StrictRoute
from kit.security import security_events
from services.identity.accounts.bodies import (
    ClientTokenOut,
    HandedOut,
    PasswordIn,
    ResetIn,
    StaffOut,
    StaffSessionIn,
    StaffSessionOut,
)
from services.identity.api import ApiDep, Device

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
    """Generate a temporary password, a TOTP secret, or both for an account of staff, and end its sessions."""
    made = await services.staff.reset(caller, staff_id, password=body.password, totp=body.totp)
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
