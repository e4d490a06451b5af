"""Routes of erasures: requested by one admin, approved by another, stopped by any clerk or admin."""

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
    """Request the irrevocable erasure of a person in every service; repeats the erasure of an erased person."""
    return ErasureOut.of(await services.erasures.request(caller, practitioner_id))


@router.post(f"{ERASURE}/approval", status_code=202, openapi_extra=ACCESS_REASON)
async def approve_erasure(services: ApiDep, caller: CallerDep, practitioner_id: Id) -> ErasureOut:
    """Approve another admin's request: the erasure is carried out at `due_at`, unless it is stopped before."""
    return ErasureOut.of(await services.erasures.approve(caller, practitioner_id))


@router.delete(ERASURE, openapi_extra=ACCESS_REASON)
async def stop_erasure(services: ApiDep, caller: CallerDep, practitioner_id: Id) -> ErasureOut:
    """Stop an erasure that was not carried out yet; needs a reason."""
    return ErasureOut.of(await services.erasures.stop(caller, practitioner_id))


@router.get(ERASURE)
async def get_erasure(services: ApiDep, caller: CallerDep, practitioner_id: Id) -> ErasureOut:
    """The state of a person's erasure."""
    return ErasureOut.of(await services.erasures.get(caller, practitioner_id))


@router.get("/erasures")
async def list_erasures(services: ApiDep, caller: CallerDep) -> Page[ErasureOut]:
    """All erasures that are requested or approved, the least recently changed first."""
    return Page(items=[ErasureOut.of(each) for each in await services.erasures.waiting(caller)], next_cursor=None)


@router.get("/.well-known/erased/{practitioner_id}")
async def is_erased(services: ApiDep, practitioner_id: Id) -> ErasedOut:
    """Whether this person was erased: services and subscribers confirm an erasure event with it.

    Public like the keys: it reveals nothing but the erasure, and only for an id, which can't be guessed.
    """
    return ErasedOut(erased=await services.erasures.confirmed(practitioner_id))
