"""Routes of requests that need a second admin: requested, listed, approved, refused."""

from dataclasses import asdict

from fastapi import APIRouter

from kit.http.callers import CallerDep
from kit.http.paging import After, Page, write_cursor
from kit.http.routes import Id, Limit, StrictRoute
from services.identity.accounts.bodies import HandedOut
from services.identity.api import ApiDep
from services.identity.approvals.bodies import ApprovalIn, ApprovalOut, ApprovedOut
from services.identity.approvals.service import Wish

router = APIRouter(prefix="/api/identity", route_class=StrictRoute)


@router.post("/approvals", status_code=201)
async def request_approval(services: ApiDep, caller: CallerDep, body: ApprovalIn) -> ApprovalOut:
    """Request a new account, other roles, or to enable or reset an account; another admin approves it."""
    requested = await services.approvals.request(caller, Wish(body.asked, body.username, body.roles, body.reason))
    return ApprovalOut.of(requested, caller, services.clock.now())


@router.get("/approvals")
async def list_approvals(services: ApiDep, caller: CallerDep, after: After, limit: Limit = 50) -> Page[ApprovalOut]:
    """All requests, newest first."""
    found, following = await services.approvals.page(caller, after, limit)
    now = services.clock.now()
    return Page(items=[ApprovalOut.of(each, caller, now) for each in found], next_cursor=write_cursor(following))


@router.post("/approvals/{approval_id}/approve")
async def approve_request(services: ApiDep, caller: CallerDep, approval_id: Id) -> ApprovedOut:
    """Approve another person's request, which is carried out at once."""
    done, made = await services.approvals.approve(caller, approval_id)
    credentials = HandedOut.model_validate(asdict(made)) if made else None
    out = ApprovalOut.of(done, caller, services.clock.now())
    return ApprovedOut.model_validate({**out.model_dump(), "credentials": credentials})


@router.post("/approvals/{approval_id}/refuse")
async def refuse_request(services: ApiDep, caller: CallerDep, approval_id: Id) -> ApprovalOut:
    """Refuse a request, or withdraw one's own."""
    refused = await services.approvals.refuse(caller, approval_id)
    return ApprovalOut.of(refused, caller, services.clock.now())
