"""Routes of erasures: asked for by one admin, approved by another, stopped by anybody of staff."""

from fastapi import APIRouter

from kit.http.callers import ACCESS_REASON, CallerDep
from kit.http.paging import Page
from kit.http.routes import Id, StrictRoute
from services.identity.api import ApiDep
from services.identity.erasures.bodies import ErasedOut, ErasureOut

ERASURE = "/practitioners/{practitioner_id}/erasure"
router = APIRouter(prefix="/api/identity", route_class=StrictRoute)


@router.post(ERASURE, status_code=202, openapi_extra=ACCESS_REASON)
async def erase_practitioner(services: ApiDep, caller: CallerDep, practitioner_id: Id) -> ErasureOut:
    """Ask for a person to be erased in every service, for good; once they are: everything is looked through again."""
    return ErasureOut.of(await services.erasures.request(caller, practitioner_id))


@router.post(f"{ERASURE}/approval", status_code=202, openapi_extra=ACCESS_REASON)
async def approve_erasure(services: ApiDep, caller: CallerDep, practitioner_id: Id) -> ErasureOut:
    """Approve what another admin asked for: it is carried out at `due_at`, unless it is stopped before."""
    return ErasureOut.of(await services.erasures.approve(caller, practitioner_id))


@router.delete(ERASURE, openapi_extra=ACCESS_REASON)
async def stop_erasure(services: ApiDep, caller: CallerDep, practitioner_id: Id) -> ErasureOut:
    """Stop it before it is carried out."""
    return ErasureOut.of(await services.erasures.stop(caller, practitioner_id))


@router.get(ERASURE)
async def get_erasure(services: ApiDep, caller: CallerDep, practitioner_id: Id) -> ErasureOut:
    """How far the erasure of a person is."""
    return ErasureOut.of(await services.erasures.get(caller, practitioner_id))


@router.get("/erasures")
async def list_erasures(services: ApiDep, caller: CallerDep) -> Page[ErasureOut]:
    """All erasures that wait for approval or for their time, the oldest first."""
    return Page(items=[ErasureOut.of(each) for each in await services.erasures.waiting(caller)], next_cursor=None)


@router.get("/.well-known/erased/{practitioner_id}")
async def is_erased(services: ApiDep, practitioner_id: Id) -> ErasedOut:
    """Whether this person was erased: for services and subscribers that got an event which says so.

    As public as the keys: who knows the id of somebody (nobody can guess it) learns that they are gone, and no more.
    """
    return ErasedOut(erased=await services.erasures.confirmed(practitioner_id))
