"""Routes of log-ins: codes, sessions, tokens, recent authentication."""

from dataclasses import asdict

from fastapi import APIRouter, Request

from kit.http.callers import CallerDep, client_address
from kit.http.paging import Page
from kit.http.routes import Id, StrictRoute
from services.identity.api import ApiDep, Device
from services.identity.login.bodies import (
    CodeIn,
    CodeOut,
    CodeState,
    LoginIn,
    RefreshIn,
    SessionIn,
    SessionOfMine,
    SessionOut,
    TokensOut,
)
from services.identity.login.codes import Codes
from services.identity.login.domain import Challenge
from services.identity.login.service import CodeRequest
from services.identity.login.sessions import Tokens

router = APIRouter(prefix="/api/identity", route_class=StrictRoute)


def _tokens(tokens: Tokens) -> dict[str, object]:
    return asdict(tokens)


def code_out(codes: Codes, challenge: Challenge) -> CodeOut:
    """The response to a request for a code."""
    return CodeOut(
        challenge_id=challenge.id,
        phone_hint=challenge.phone_hint,
        expires_at=challenge.expires_at,
        resend_at=codes.resend_at(challenge),
    )


@router.post("/login/codes", status_code=202)
async def request_code(services: ApiDep, request: Request, body: CodeIn) -> CodeOut:
    """Send a code to the phone of the certificate."""
    wanted = CodeRequest(body.document_number, body.phone, body.captcha_id, body.captcha_answer, body.device_token)
    challenge = await services.login.request_code(wanted, client_address(request))
    return code_out(services.codes, challenge)


@router.get("/login/codes/{challenge_id}")
async def get_code(services: ApiDep, challenge_id: Id) -> CodeState:
    """The state of a code: whether it was delivered, and how many attempts are left."""
    challenge = await services.codes.get(challenge_id)
    return CodeState(
        state=services.codes.state(challenge),
        tries_left=challenge.tries_left,
        resend_at=services.codes.resend_at(challenge),
        expires_at=challenge.expires_at,
    )


@router.post("/login/codes/{challenge_id}/resend", status_code=202)
async def resend_code(services: ApiDep, request: Request, challenge_id: Id) -> CodeOut:
    """Send the same code again."""
    return code_out(services.codes, await services.login.resend(challenge_id, client_address(request)))


@router.post("/login/sessions", status_code=201)
async def log_in(services: ApiDep, request: Request, body: LoginIn, user_agent: Device = "") -> SessionOut:
    """Log in with the code."""
    address = client_address(request)
    opened = await services.login.log_in(body.challenge_id, body.code, address, user_agent, body.device_token)
    own = {"practitioner_id": opened.practitioner_id, "device_token": opened.device_token}
    return SessionOut.model_validate({**_tokens(opened.tokens), **own})


@router.post("/tokens/refresh")
async def refresh(services: ApiDep, request: Request, body: RefreshIn) -> TokensOut:
    """The next pair of tokens; a refresh token works once."""
    await services.throttle.admit_best_effort(client_address(request))
    return TokensOut.model_validate(_tokens(await services.sessions.refresh(body.refresh_token)))


@router.delete("/sessions/current", status_code=204)
async def log_out(services: ApiDep, caller: CallerDep) -> None:
    """End the session of this token."""
    if caller.session:
        await services.sessions.end(caller, caller.session)


@router.post("/sessions/current/codes", status_code=202)
async def request_proof_code(services: ApiDep, caller: CallerDep, request: Request) -> CodeOut:
    """Send a code to the caller's phone, for a recent authentication."""
    return code_out(services.codes, await services.proofs.send_code(caller, client_address(request)))


@router.post("/sessions/current/proofs")
async def prove(services: ApiDep, caller: CallerDep, request: Request, body: SessionIn) -> TokensOut:
    """Authenticate again with that code: returns the next pair of tokens, with an `auth_time` of now."""
    address = client_address(request)
    tokens = await services.proofs.prove(caller, body.challenge_id, body.code, address)
    return TokensOut.model_validate(_tokens(tokens))


@router.get("/sessions")
async def list_sessions(services: ApiDep, caller: CallerDep) -> Page[SessionOfMine]:
    """The caller's sessions, newest first."""
    sessions = await services.sessions.list(caller)
    return Page(items=[SessionOfMine.of(session, caller) for session in sessions])


@router.delete("/sessions", status_code=204)
async def end_other_sessions(services: ApiDep, caller: CallerDep) -> None:
    """End the caller's other sessions and forget their other devices; practitioners need a recent authentication."""
    await services.sessions.end_others(caller)


@router.delete("/sessions/{session_id}", status_code=204)
async def end_session(services: ApiDep, caller: CallerDep, session_id: Id) -> None:
    """End one of the caller's sessions; practitioners need a recent authentication for another than the current one."""
    await services.sessions.end(caller, session_id)
