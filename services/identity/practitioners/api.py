"""Routes of practitioners: registered, found, shown."""

from fastapi import APIRouter, Response
from pydantic import ValidationError

from kit.core.clock import shanghai_date
from kit.core.errors import InvalidFields
from kit.http.callers import ACCESS_REASON, CallerDep
from kit.http.paging import After, Page, write_cursor
from kit.http.routes import Limit, PersonId, StrictRoute
from services.identity.api import ApiDep, ApiDependencies
from services.identity.practitioners.bodies import (
    AccessOut,
    CandidateOut,
    CheckOut,
    FoundOut,
    LookupIn,
    LookupsIn,
    PersonOut,
    PractitionerOut,
    RegisteredOut,
    WarningOut,
)
from services.identity.practitioners.lookups import LookupKey
from services.identity.practitioners.registration import WindowRegistration
from services.identity.practitioners.service import Registered

router = APIRouter(prefix="/api/identity", route_class=StrictRoute)


def _registered(done: Registered) -> RegisteredOut:
    told = done.person.model_dump(include={"name", "document_type", "version", "updated_at"})
    own = {"practitioner_id": done.person.id, "possible_duplicates": done.possible_duplicates}
    return RegisteredOut.model_validate({**own, **told})


def _given(services: ApiDependencies, body: dict[str, object]) -> WindowRegistration:
    try:
        return WindowRegistration.model_validate(body, context={"today": shanghai_date(services.clock.now())})
    except ValidationError as error:
        raise InvalidFields.of(error) from error


@router.post("/practitioners", status_code=201)
async def register(services: ApiDep, caller: CallerDep, body: dict[str, object], response: Response) -> RegisteredOut:
    """Register a person from a card or by hand; 200 when their document is known, or is `same_as` somebody's."""
    done = await services.identity.register(caller, _given(services, body))
    response.status_code = 201 if done.new else 200
    response.headers["Location"] = f"/api/identity/practitioners/{done.person.id}"
    return _registered(done)


@router.post("/practitioners/checks")
async def check_registration(services: ApiDep, caller: CallerDep, body: dict[str, object]) -> CheckOut:
    """What a registration with this body would meet; nothing is changed."""
    given = _given(services, body)
    checked = await services.identity.check(caller, given)
    expired = WarningOut(code="document_expired", message=f"证件已过期（有效期至{given.valid_to}）")
    return CheckOut(
        known=checked.known,
        warnings=[expired] if checked.expired else [],
        candidates=[CandidateOut.of(person, hint) for person, hint in checked.candidates],
    )


@router.post("/practitioners/lookup")
async def lookup(services: ApiDep, caller: CallerDep, body: LookupIn) -> PersonOut:
    """Find a person by their document."""
    return PersonOut(practitioner_id=await services.lookups.one(caller, _asked(body)))


@router.post("/practitioners/lookups")
async def lookup_many(services: ApiDep, caller: CallerDep, body: LookupsIn) -> Page[FoundOut]:
    """Find many people by their documents; the answers in the order of the questions."""
    found = await services.lookups.many(caller, [_asked(one) for one in body.documents])
    return Page(items=[FoundOut.of(people) for people in found])


def _asked(body: LookupIn) -> LookupKey:
    return LookupKey(body.document_type, body.document_number, body.nationality)


@router.get("/practitioners/{practitioner_id}", openapi_extra=ACCESS_REASON)
async def get_practitioner(services: ApiDep, caller: CallerDep, practitioner_id: PersonId) -> PractitionerOut:
    """A person's basic information."""
    person = await services.identity.get(caller, practitioner_id)
    opened = {"practitioner_id": person.id, **services.identity.opened(person)}
    return PractitionerOut.model_validate({**person.model_dump(), **opened})


@router.get("/practitioners/{practitioner_id}/access-log", openapi_extra=ACCESS_REASON)
async def list_accesses(
    services: ApiDep,
    caller: CallerDep,
    practitioner_id: PersonId,
    after: After,
    limit: Limit = 50,
) -> Page[AccessOut]:
    """Who looked at the person's file, newest first."""
    accesses, following = await services.accesses.page(caller, practitioner_id, after, limit)
    return Page(items=[AccessOut.of(access) for access in accesses], next_cursor=write_cursor(following))


@router.get("/practitioners/{practitioner_id}/portrait", response_class=Response, openapi_extra=ACCESS_REASON)
async def get_portrait(services: ApiDep, caller: CallerDep, practitioner_id: PersonId) -> Response:
    """A person's portrait as JPEG."""
    picture = await services.identity.portrait(caller, practitioner_id)
    return Response(
        picture, media_type="image/jpeg", headers={"Content-Disposition": 'inline; filename="portrait.jpg"'}
    )
