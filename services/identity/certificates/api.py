"""Routes of digital certificates: issued, bound to another phone, revoked; rebindings that need a second clerk."""

from typing import Any

from fastapi import APIRouter, Request, Response

from kit.http.callers import ACCESS_REASON, CallerDep, client_address
from kit.http.paging import After, Page, write_cursor
from kit.http.routes import Id, Limit, PersonId, StrictRoute  # fmt: skip
from services.identity.api import ApiDep
from services.identity.certificates.bodies import CertificateOut, PhoneIn, RebindingOut, ReboundIn
from services.identity.certificates.domain import Certificate
from services.identity.certificates.phones import Phone
from services.identity.certificates.service import Proof
from services.identity.login.api import code_out
from services.identity.login.bodies import CodeOut
from services.identity.service import UseCases

PENDING: dict[int | str, dict[str, Any]] = {
    202: {"model": CertificateOut, "description": "the phone in `waiting` is bound when a second clerk confirms it"}
}
router = APIRouter(prefix="/api/identity", route_class=StrictRoute)


def _certificate(services: UseCases, certificate: Certificate) -> CertificateOut:
    return CertificateOut.of(certificate, services.clock.now())


def _bound_or_pending(services: UseCases, certificate: Certificate, response: Response) -> CertificateOut:
    """The certificate, with status 202 while the phone waits for a second clerk."""
    if certificate.waiting:
        response.status_code = 202
    return _certificate(services, certificate)


def _phone(body: PhoneIn) -> Phone:
    return Phone(body.phone, body.shared_reason)


@router.get("/practitioners/{practitioner_id}/certificate", openapi_extra=ACCESS_REASON)
async def get_certificate(services: ApiDep, caller: CallerDep, practitioner_id: PersonId) -> CertificateOut:
    """The person's digital certificate, also a revoked one; 404 if none was ever issued."""
    return _certificate(services, await services.certificates.of_person(caller, practitioner_id))


@router.post(
    "/practitioners/{practitioner_id}/certificate", status_code=201, responses=PENDING, openapi_extra=ACCESS_REASON
)
async def issue_certificate(
    services: ApiDep, caller: CallerDep, practitioner_id: Id, body: PhoneIn, response: Response
) -> CertificateOut:
    """Issue the digital certificate: from now on the person can log in.

    Issued again after a revocation, with another phone than before, it may need a reason and a second clerk.
    """
    issued = await services.certificates.issue(caller, practitioner_id, _phone(body))
    return _bound_or_pending(services, issued, response)


@router.post("/practitioners/{practitioner_id}/certificate/phone-codes", status_code=202)
async def send_phone_code(
    services: ApiDep, caller: CallerDep, practitioner_id: Id, request: Request, body: PhoneIn
) -> CodeOut:
    """Send a code to the phone that is to replace the current one."""
    address = client_address(request)
    challenge = await services.certificates.send_code(caller, practitioner_id, _phone(body), address)
    return code_out(services.codes, challenge)


@router.put("/practitioners/{practitioner_id}/certificate", responses=PENDING, openapi_extra=ACCESS_REASON)
async def rebind_certificate(
    services: ApiDep, caller: CallerDep, practitioner_id: Id, request: Request, body: ReboundIn, response: Response
) -> CertificateOut:
    """Bind another phone, proved by the code that was sent to it; needs a reason.

    Unless the person's card was read recently and the caller is below the daily limit, a second clerk has to confirm.
    """
    proof = Proof(body.challenge_id, body.code, client_address(request))
    rebound = await services.certificates.rebind(caller, practitioner_id, _phone(body), proof)
    return _bound_or_pending(services, rebound, response)


@router.delete("/practitioners/{practitioner_id}/certificate", status_code=204)
async def revoke_certificate(services: ApiDep, caller: CallerDep, practitioner_id: Id) -> None:
    """Revoke the certificate."""
    await services.certificates.revoke(caller, practitioner_id)


@router.get("/rebindings")
async def list_rebindings(services: ApiDep, caller: CallerDep, after: After, limit: Limit = 50) -> Page[RebindingOut]:
    """Rebindings that wait for a second clerk."""
    requests, next_page = await services.rebindings.page(caller, after, limit)
    return Page(items=[RebindingOut.of(each) for each in requests], next_cursor=write_cursor(next_page))


@router.get("/rebindings/{rebinding_id}")
async def get_rebinding(services: ApiDep, caller: CallerDep, rebinding_id: Id) -> RebindingOut:
    """A rebinding that waits for a second clerk; 404 `rebinding_over` when it was decided, replaced or has expired."""
    return RebindingOut.of(await services.rebindings.get(caller, rebinding_id))


@router.post("/rebindings/{rebinding_id}/confirm", openapi_extra=ACCESS_REASON)
async def confirm_rebinding(services: ApiDep, caller: CallerDep, rebinding_id: Id) -> CertificateOut:
    """Bind the phone; needs a reason and another clerk than the one who requested it. Ends the person's sessions."""
    return _certificate(services, await services.rebindings.confirm(caller, rebinding_id))


@router.post("/rebindings/{rebinding_id}/refuse", openapi_extra=ACCESS_REASON)
async def refuse_rebinding(services: ApiDep, caller: CallerDep, rebinding_id: Id) -> CertificateOut:
    """Keep the current phone; needs a reason. Permitted to the clerk who requested the rebinding, too."""
    return _certificate(services, await services.rebindings.refuse(caller, rebinding_id))
