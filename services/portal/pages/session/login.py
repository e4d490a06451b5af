"""Log in and out (guide §4): document number, phone and captcha first, then the code."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response

from kit.core.errors import AppError
from kit.http.routes import Id
from services.portal.client.answers import CodeSent
from services.portal.client.backend import Refused
from services.portal.client.login import LoginCalls
from services.portal.client.practitioner import PractitionerClient
from services.portal.session.codes import where_is
from services.portal.session.forms import code_of, sentence_of
from services.portal.session.sessions import cookie_hash
from services.portal.session.visits import COOKIE_NAME, PageContext, PageContextDep, own_path

STATE_SECONDS = 2 * 3600
FIELDS = {"document_number": "证件号", "phone": "手机号码", "captcha": "验证码"}
FIELD_OF_CODE = {"captcha_wrong": "captcha", "not_enrolled": "document_number"}
Next = Annotated[str, Query(max_length=500)]
router = APIRouter()


class Pending(BaseModel):
    """A log-in between its two steps."""

    challenge_id: str
    phone_hint: str
    next: str


def _calls(visit: PageContext) -> LoginCalls:
    return LoginCalls(visit.portal.backend, visit.asker)


@router.get("/login")
async def show(visit: PageContextDep, next: Next = "/", note: str = "", why: str = "") -> Response:  # noqa: A002  # the word in the address
    """The first step."""
    if visit.session and visit.session.kind == "practitioner":
        return visit.go(own_path(next))
    return await _first_step(visit, {"next": own_path(next)}, notes=(why, note))


async def _first_step(
    visit: PageContext,
    values: Mapping[str, str],
    error: AppError | None = None,
    scale: int = 1,
    notes: Sequence[str] = (),
) -> Response:
    """With what was typed; the captcha is always another one."""
    captcha = await _calls(visit).captcha(scale)
    status = error.status if error else 200
    errors = _errors(error) if error else {}
    response = visit.page(
        "session/start.html", status=status, values=values, captcha=captcha, scale=scale, errors=errors,
        problem=error.detail if error else "", titles=FIELDS, to_note=notes,
    )  # fmt: skip
    response.headers.update(error.headers or {} if error else {})
    return response


def _errors(error: AppError) -> dict[str, str]:
    """Sentences by field."""
    if isinstance(error, Refused) and error.fields:
        return {one.field.removesuffix("_answer"): one.message for one in error.fields}
    field = FIELD_OF_CODE.get(error.code)
    return {field: str(error.detail)} if field else {}


@router.post("/login")
async def start(visit: PageContextDep) -> Response:
    """Send a code; or another captcha, larger if wanted."""
    form = visit.form
    if action := form.get("action"):
        return await _first_step(visit, form, scale=2 if action == "magnify" else 1)
    try:
        sent = await _calls(visit).send_code(
            form.get("document_number", ""), form.get("phone", ""), form.get("captcha_id", ""),
            form.get("captcha", ""), visit.device,
        )  # fmt: skip
    except AppError as error:
        return await _first_step(visit, form, error, scale=2 if form.get("scale") == "2" else 1)
    await _remember(visit, sent, own_path(form.get("next", "/")))
    return visit.go("/login/code")


async def _remember(visit: PageContext, sent: CodeSent, path: str) -> None:
    pending = Pending(challenge_id=sent.challenge_id, phone_hint=sent.phone_hint, next=path)
    await visit.portal.vault.put(_key(visit), pending.model_dump_json(), STATE_SECONDS)


async def _pending(visit: PageContext) -> Pending | None:
    kept = await visit.portal.vault.get(_key(visit))
    return Pending.model_validate_json(kept.text) if kept else None


def _key(visit: PageContext) -> str:
    return f"login:{cookie_hash(visit.cookie)}"


@router.get("/login/captchas/{captcha_id}/audio")
async def listen(visit: PageContextDep, captcha_id: Id) -> Response:
    """The captcha spoken."""
    return Response(await _calls(visit).captcha_audio(captcha_id), media_type="audio/wav")


@router.get("/login/code")
async def ask_code(visit: PageContextDep) -> Response:
    """The second step."""
    return await _second_step(visit)


async def _second_step(visit: PageContext, error: AppError | None = None, code: str = "") -> Response:
    pending = await _pending(visit)
    if pending is None:
        return visit.go("/login")
    response = visit.page(
        "session/code.html", status=error.status if error else 200, pending=pending, code=code,
        problem=sentence_of(error) if error else "", where=await where_is(visit, pending.challenge_id),
    )  # fmt: skip
    response.headers.update(error.headers or {} if error else {})
    return response


@router.get("/login/code/state")
async def code_state(visit: PageContextDep) -> Response:
    """The part of the second step that changes by itself."""
    pending = await _pending(visit)
    if pending is None:
        return Response(status_code=204)
    return visit.page("session/state.html", pending=pending, where=await where_is(visit, pending.challenge_id))


@router.post("/login/code")
async def finish(visit: PageContextDep) -> Response:
    """Log in with the code; or have it sent again."""
    pending = await _pending(visit)
    if pending is None:
        return visit.go("/login")
    try:
        if visit.form.get("action") == "resend":
            await _calls(visit).resend(pending.challenge_id)
            return visit.go("/login/code")
        return await _log_in(visit, pending)
    except AppError as error:
        return await _second_step(visit, error, visit.form.get("code", ""))


async def _log_in(visit: PageContext, pending: Pending) -> Response:
    tokens = await _calls(visit).tokens(pending.challenge_id, code_of(visit.form), visit.device)
    person = await PractitionerClient(visit.portal.backend, visit.asker.with_token(tokens.access_token)).basic()
    cookie = await visit.portal.sessions.open("practitioner", tokens.practitioner_id, person.name, tokens)
    await visit.portal.vault.drop(_key(visit))
    response = visit.go(pending.next)
    visit.remember(response, cookie)
    visit.remember_device(response, tokens.device_token)
    return response


@router.post("/logout")
async def log_out(visit: PageContextDep) -> Response:
    """End the session here and at identity."""
    if visit.session:
        await visit.portal.sessions.end(visit.cookie, "logged_out")
        with suppress(AppError):  # it runs out by itself when identity is away
            await visit.own_file.end_session("current")
    response = visit.go(f"{'/staff' if visit.home == '/staff' else ''}/login?note=out")
    response.delete_cookie(COOKIE_NAME, path="/", secure=True, httponly=True, samesite="lax")
    return response
