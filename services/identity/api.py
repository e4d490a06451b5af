"""Routes of identity: translate between HTTP and the services, decide nothing."""

from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Header, Query, Request, Response
from pydantic import ValidationError

from kit.core.clock import Clock, shanghai_date
from kit.core.errors import AppError, InvalidFields
from kit.http.callers import ACCESS_REASON, CallerDep, basic_credentials, client_address
from kit.http.paging import After, Page, write_cursor
from kit.http.routes import Id, Limit, PersonId, StrictRoute  # fmt: skip
from kit.security import security_events
from kit.security.tokens import TokenIssuer
from services.identity.accesses import AccessLog
from services.identity.accounts import AccountService
from services.identity.bodies import (
    AccessOut,
    CandidateOut,
    CaptchaOut,
    CheckOut,
    ClientTokenOut,
    CodeIn,
    CodeOut,
    CodeState,
    FoundOut,
    KeysOut,
    LoginIn,
    LookupIn,
    LookupsIn,
    PersonOut,
    PractitionerOut,
    RefreshIn,
    RegisteredOut,
    SessionIn,
    SessionOfMine,
    SessionOut,
    TokensOut,
    WarningOut,
)
from services.identity.captchas import Captchas
from services.identity.certificates import Certificates
from services.identity.codes import Codes
from services.identity.domain import WindowRegistration
from services.identity.erasures import Erasures
from services.identity.login import CodeAsked, LoginService
from services.identity.login_entities import Challenge
from services.identity.lookups import Asked, Lookups
from services.identity.proofs import Proofs
from services.identity.rebindings import Rebindings
from services.identity.service import IdentityService, Registered
from services.identity.sessions import Sessions, Tokens
from services.identity.staff import StaffAccounts
from services.identity.throttle import Throttle


@dataclass(frozen=True)
class Services:
    """What the routes call."""

    identity: IdentityService
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


async def _services(request: Request) -> Services:
    services: Services = request.app.state.service
    return services


ServicesDep = Annotated[Services, Depends(_services)]
Device = Annotated[str, Header(alias="user-agent", max_length=400)]
router = APIRouter(prefix="/api/identity", route_class=StrictRoute)


def _tokens(tokens: Tokens) -> dict[str, object]:
    return asdict(tokens)


def code_out(codes: Codes, challenge: Challenge) -> CodeOut:
    """A code that is on its way."""
    return CodeOut(
        challenge_id=challenge.id,
        phone_hint=challenge.phone_hint,
        expires_at=challenge.expires_at,
        resend_at=codes.resend_at(challenge),
    )


def _registered(done: Registered) -> RegisteredOut:
    told = done.person.model_dump(include={"name", "document_type", "version", "updated_at"})
    own = {"practitioner_id": done.person.id, "possible_duplicates": done.possible_duplicates}
    return RegisteredOut.model_validate({**own, **told})


def _given(services: Services, body: dict[str, object]) -> WindowRegistration:
    try:
        return WindowRegistration.model_validate(body, context={"today": shanghai_date(services.clock.now())})
    except ValidationError as error:
        raise InvalidFields.of(error) from error


@router.post("/captchas", status_code=201)
async def make_captcha(
    services: ServicesDep, request: Request, scale: Annotated[int, Query(ge=1, le=2)] = 1
) -> CaptchaOut:
    """A captcha; `scale=2` magnifies it."""
    await services.throttle.admit(client_address(request))
    captcha = await services.captchas.make(scale)
    audio_url = f"{router.prefix}/captchas/{captcha.id}/audio"
    return CaptchaOut(captcha_id=captcha.id, image=captcha.image, audio_url=audio_url, expires_at=captcha.expires_at)


@router.get("/captchas/{captcha_id}/audio", response_class=Response)
async def hear_captcha(services: ServicesDep, request: Request, captcha_id: Id) -> Response:
    """The same captcha spoken in Mandarin, as WAV."""
    await services.throttle.admit(client_address(request))
    return Response(await services.captchas.hear(captcha_id), media_type="audio/wav")


@router.post("/login/codes", status_code=202)
async def request_code(services: ServicesDep, request: Request, body: CodeIn) -> CodeOut:
    """Send a code to the phone of the certificate."""
    asked = CodeAsked(body.document_number, body.phone, body.captcha_id, body.captcha_answer, body.device_token)
    challenge = await services.login.request_code(asked, client_address(request))
    return code_out(services.codes, challenge)


@router.get("/login/codes/{challenge_id}")
async def get_code(services: ServicesDep, challenge_id: Id) -> CodeState:
    """Where is my code."""
    challenge = await services.codes.look(challenge_id)
    return CodeState(
        state=services.codes.state(challenge),
        tries_left=challenge.tries_left,
        resend_at=services.codes.resend_at(challenge),
        expires_at=challenge.expires_at,
    )


@router.post("/login/codes/{challenge_id}/resend", status_code=202)
async def resend_code(services: ServicesDep, request: Request, challenge_id: Id) -> CodeOut:
    """The same valid code again."""
    return code_out(services.codes, await services.login.resend(challenge_id, client_address(request)))


@router.post("/login/sessions", status_code=201)
async def log_in(services: ServicesDep, request: Request, body: LoginIn, user_agent: Device = "") -> SessionOut:
    """Log in with the code."""
    address = client_address(request)
    done = await services.login.log_in(body.challenge_id, body.code, address, user_agent, body.device_token)
    own = {"practitioner_id": done.practitioner_id, "device_token": done.device_token}
    return SessionOut.model_validate({**_tokens(done.tokens), **own})


@router.post("/tokens/refresh")
async def refresh(services: ServicesDep, request: Request, body: RefreshIn) -> TokensOut:
    """The next pair of tokens; a refresh token works once."""
    await services.throttle.admit_anyway(client_address(request))
    return TokensOut.model_validate(_tokens(await services.sessions.refresh(body.refresh_token)))


@router.delete("/sessions/current", status_code=204)
async def log_out(services: ServicesDep, caller: CallerDep) -> None:
    """End the session of this token."""
    if caller.session:
        await services.sessions.end(caller, caller.session)


@router.post("/sessions/current/codes", status_code=202)
async def request_proof_code(services: ServicesDep, caller: CallerDep, request: Request) -> CodeOut:
    """Send a code to the phone of who is logged in, for a fresh proof."""
    return code_out(services.codes, await services.proofs.send_code(caller, client_address(request)))


@router.post("/sessions/current/proofs")
async def prove(services: ServicesDep, caller: CallerDep, request: Request, body: SessionIn) -> TokensOut:
    """Prove with that code who is logged in: the next pair of tokens, whose `auth_time` is now."""
    address = client_address(request)
    tokens = await services.proofs.prove(caller, body.challenge_id, body.code, address)
    return TokensOut.model_validate(_tokens(tokens))


@router.get("/sessions")
async def list_sessions(services: ServicesDep, caller: CallerDep) -> Page[SessionOfMine]:
    """My sessions, newest first."""
    sessions = await services.sessions.list(caller)
    return Page(items=[SessionOfMine.of(session, caller) for session in sessions])


@router.delete("/sessions", status_code=204)
async def end_other_sessions(services: ServicesDep, caller: CallerDep) -> None:
    """End all my sessions but this one, and forget all other devices; asks a practitioner for a fresh proof."""
    await services.sessions.end_others(caller)


@router.delete("/sessions/{session_id}", status_code=204)
async def end_session(services: ServicesDep, caller: CallerDep, session_id: Id) -> None:
    """End one of my sessions; another than this one asks a practitioner for a fresh proof."""
    await services.sessions.end(caller, session_id)


@router.post("/oauth/token")
async def client_token(
    services: ServicesDep,
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


@router.get("/.well-known/jwks.json")
async def keys(services: ServicesDep, response: Response) -> KeysOut:
    """The keys that sign access tokens."""
    response.headers["Cache-Control"] = "public, max-age=60"
    return KeysOut.model_validate(services.issuer.public_keys())


@router.post("/practitioners", status_code=201)
async def register(
    services: ServicesDep, caller: CallerDep, body: dict[str, object], response: Response
) -> RegisteredOut:
    """Register a person from a card or by hand; 200 when their document is known, or is `same_as` somebody's."""
    done = await services.identity.register(caller, _given(services, body))
    response.status_code = 201 if done.new else 200
    response.headers["Location"] = f"/api/identity/practitioners/{done.person.id}"
    return _registered(done)


@router.post("/practitioners/checks")
async def check_registration(services: ServicesDep, caller: CallerDep, body: dict[str, object]) -> CheckOut:
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
async def lookup(services: ServicesDep, caller: CallerDep, body: LookupIn) -> PersonOut:
    """Find a person by their document."""
    return PersonOut(practitioner_id=await services.lookups.one(caller, _asked(body)))


@router.post("/practitioners/lookups")
async def lookup_many(services: ServicesDep, caller: CallerDep, body: LookupsIn) -> Page[FoundOut]:
    """Find many people by their documents; the answers in the order of the questions."""
    found = await services.lookups.many(caller, [_asked(one) for one in body.documents])
    return Page(items=[FoundOut.of(people) for people in found])


def _asked(body: LookupIn) -> Asked:
    return Asked(body.document_type, body.document_number, body.nationality)


@router.get("/practitioners/{practitioner_id}", openapi_extra=ACCESS_REASON)
async def get_practitioner(services: ServicesDep, caller: CallerDep, practitioner_id: PersonId) -> PractitionerOut:
    """A person's basic information."""
    person = await services.identity.get(caller, practitioner_id)
    opened = {"practitioner_id": person.id, **services.identity.opened(person)}
    return PractitionerOut.model_validate({**person.model_dump(), **opened})


@router.get("/practitioners/{practitioner_id}/access-log", openapi_extra=ACCESS_REASON)
async def list_accesses(
    services: ServicesDep,
    caller: CallerDep,
    practitioner_id: PersonId,
    after: After,
    limit: Limit = 50,
) -> Page[AccessOut]:
    """Who looked at the person's file, newest first."""
    accesses, following = await services.accesses.page(caller, practitioner_id, after, limit)
    return Page(items=[AccessOut.of(access) for access in accesses], next_cursor=write_cursor(following))


@router.get("/practitioners/{practitioner_id}/portrait", response_class=Response, openapi_extra=ACCESS_REASON)
async def get_portrait(services: ServicesDep, caller: CallerDep, practitioner_id: PersonId) -> Response:
    """A person's portrait as JPEG."""
    picture = await services.identity.portrait(caller, practitioner_id)
    return Response(
        picture, media_type="image/jpeg", headers={"Content-Disposition": 'inline; filename="portrait.jpg"'}
    )
