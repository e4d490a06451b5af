"""Routes of practitioners: registration, look-ups, basic information, portrait, access log."""

from fastapi import APIRouter, Response
from pydantic import ValidationError

from kit.core.clock import shanghai_date
from kit.core.errors import InvalidFields
from kit.http.callers import ACCESS_REASON, CallerDep
from kit.http.paging import After, Page, write_cursor
from kit.http.routes import Limit, PersonId, StrictRoute
from services.identity.api import ApiDep
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
from services.identity.service import UseCases

router = APIRouter(prefix="/api/identity", route_class=StrictRoute)


def _registered(registered: Registered) -> RegisteredOut:
    person = registered.person
    fields = person.model_dump(include={"name", "document_type", "version", "updated_at"})
    own = {"practitioner_id": person.id, "possible_duplicates": registered.possible_duplicates}
    return RegisteredOut.model_validate({**own, **fields})


def _registration(services: UseCases, body: dict[str, object]) -> WindowRegistration:
    try:
        return WindowRegistration.model_validate(body, context={"today": shanghai_date(services.clock.now())})
    except ValidationError as error:
        raise InvalidFields.of(error) from error


@router.post("/practitioners", status_code=201)
async def register(services: ApiDep, caller: CallerDep, body: dict[str, object], response: Response) -> RegisteredOut:
    """Register a person from a card or by hand; 200 if their identity document, or `same_as`, is a known person's."""
    registered = await services.practitioners.register(caller, _registration(services, body))
    response.status_code = 201 if registered.new else 200
    response.headers["Location"] = f"/api/identity/practitioners/{registered.person.id}"
    return _registered(registered)


@router.post("/practitioners/checks")
async def check_registration(services: ApiDep, caller: CallerDep, body: dict[str, object]) -> CheckOut:
    """Check a registration without storing it: errors, warnings, and people who may be the same person."""
    registration = _registration(services, body)
    checked = await services.practitioners.check(caller, registration)
    expired = WarningOut(code="document_expired", message=f"证件已过期（有效期至{registration.valid_to}）")
    return CheckOut(
        known=checked.known,
        warnings=[expired] if checked.expired else [],
        candidates=[CandidateOut.of(person, hint) for person, hint in checked.candidates],
    )


@router.post("/practitioners/lookup")
async def lookup(services: ApiDep, caller: CallerDep, body: LookupIn) -> PersonOut:
    """Find a person by their identity document."""
    return PersonOut(practitioner_id=await services.lookups.one(caller, _key(body)))


@router.post("/practitioners/lookups")
async def lookup_many(services: ApiDep, caller: CallerDep, body: LookupsIn) -> Page[FoundOut]:
    """Find many people by their identity documents; the items are in the order of the request."""
    found = await services.lookups.many(caller, [_key(one) for one in body.documents])
    return Page(items=[FoundOut.of(people) for people in found])


def _key(body: LookupIn) -> LookupKey:
    return LookupKey(body.document_type, body.document_number, body.nationality)


@router.get("/practitioners/{practitioner_id}", openapi_extra=ACCESS_REASON)
async def get_practitioner(services: ApiDep, caller: CallerDep, practitioner_id: PersonId) -> PractitionerOut:
    """A person's basic information."""
    person = await services.practitioners.get(caller, practitioner_id)
    decrypted = {"practitioner_id": person.id, **services.practitioners.decrypted(person)}
    return PractitionerOut.model_validate({**person.model_dump(), **decrypted})


@router.get("/practitioners/{practitioner_id}/access-log", openapi_extra=ACCESS_REASON)
async def list_accesses(
    services: ApiDep,
    caller: CallerDep,
    practitioner_id: PersonId,
    after: After,
    limit: Limit = 50,
) -> Page[AccessOut]:
    """The accesses to the person's dossier by staff and API clients, newest first."""
    accesses, next_page = await services.accesses.page(caller, practitioner_id, after, limit)
    return Page(items=[AccessOut.of(access) for access in accesses], next_cursor=write_cursor(next_page))


@router.get("/practitioners/{practitioner_id}/portrait", response_class=Response, openapi_extra=ACCESS_REASON)
async def get_portrait(services: ApiDep, caller: CallerDep, practitioner_id: PersonId) -> Response:
    """A person's portrait as JPEG."""
    picture = await services.practitioners.portrait(caller, practitioner_id)
    return Response(
        picture, media_type="image/jpeg", headers={"Content-Disposition": 'inline; filename="portrait.jpg"'}
    )
