"""Log in and out (guide §4): document number, phone and captcha first, then the code."""

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response

from kit.core.errors import AppError, Unavailable
from kit.http.admission import Priority
from kit.http.routes import Id
from kit.redis import Place
from services.portal.client.backend import Refused
from services.portal.client.login import LoginCalls
from services.portal.client.models import CodeSent
from services.portal.client.practitioner import PractitionerClient
from services.portal.session.code_status import code_status
from services.portal.session.forms import code_of, sentence_of
from services.portal.session.page_context import COOKIE_NAME, PageContext, PageContextDep, own_path
from services.portal.session.sessions import cookie_hash

STATE_SECONDS = 2 * 3600
LOOK_AGAIN_SECONDS = (4, 7)
FIELDS = {"document_number": "证件号", "phone": "手机号码", "captcha": "验证码"}
FIELD_OF_CODE = {"captcha_wrong": "captcha", "not_enrolled": "document_number"}
Next = Annotated[str, Query(max_length=500)]
router = APIRouter()


class Pending(BaseModel):
    """A log-in between its two steps; `next` is the page after it."""

    challenge_id: str
    phone_hint: str
    next: str


def _calls(context: PageContext) -> LoginCalls:
    return LoginCalls(context.portal.backend, context.caller)


@router.get("/login")
async def show(context: PageContextDep, next: Next = "/", note: str = "", why: str = "") -> Response:  # noqa: A002  # the word in the address
    """The first step."""
    if context.session and context.session.kind == "practitioner":
        return context.redirect(own_path(next))
    if place := await _place(context):
        return _wait(context, place, own_path(next))
    return await _first_step(context, {"next": own_path(next)}, notes=(why, note))


async def _place(context: PageContext) -> Place | None:
    """The place in the waiting room; None if the person may go on."""
    busy = not context.request.app.state.admission.admits(Priority.SHEDDABLE)
    place = await context.portal.waiting_room.place(cookie_hash(context.cookie), busy)
    return place if place.ahead else None


def _wait(context: PageContext, place: Place, path: str) -> Response:
    """The waiting room: the browser looks again by itself, without a script."""
    response = context.render("session/waiting.html", place=place)
    again = random.randint(*LOOK_AGAIN_SECONDS)  # noqa: S311  # spreads the looks, protects nothing
    response.headers["Refresh"] = f"{again}; url=/login?next={quote(path)}"
    return response


async def _first_step(
    context: PageContext,
    values: Mapping[str, str],
    error: AppError | None = None,
    scale: int = 1,
    notes: Sequence[str] = (),
) -> Response:
    """The page with what was typed and a new captcha, `scale` times the normal size."""
    try:
        captcha = await _calls(context).captcha(scale)
    except Unavailable:
        context.portal.waiting_room.refused()
        raise
    status = error.status if error else 200
    errors = _errors(error) if error else {}
    response = context.render(
        "session/login.html", status=status, values=values, captcha=captcha, scale=scale, errors=errors,
        problem=error.detail if error else "", titles=FIELDS, to_note=notes,
    )  # fmt: skip
    response.headers.update(error.headers or {} if error else {})
    return response


def _errors(error: AppError) -> dict[str, str]:
    """Error messages by field."""
    if isinstance(error, Refused) and error.fields:
        return {one.field.removesuffix("_answer"): one.message for one in error.fields}
    field = FIELD_OF_CODE.get(error.code)
    return {field: str(error.detail)} if field else {}


@router.post("/login")
async def start(context: PageContextDep) -> Response:
    """Send a code, or show another captcha."""
    form = context.form
    if place := await _place(context):
        return _wait(context, place, own_path(form.get("next", "/")))
    if action := form.get("action"):
        return await _first_step(context, form, scale=2 if action == "magnify" else 1)
    try:
        sent = await _calls(context).send_code(
            form.get("document_number", ""), form.get("phone", ""), form.get("captcha_id", ""),
            form.get("captcha", ""), context.device_token,
        )  # fmt: skip
    except AppError as error:
        return await _first_step(context, form, error, scale=2 if form.get("scale") == "2" else 1)
    await _store_pending(context, sent, own_path(form.get("next", "/")))
    return context.redirect("/login/code")


async def _store_pending(context: PageContext, sent: CodeSent, path: str) -> None:
    pending = Pending(challenge_id=sent.challenge_id, phone_hint=sent.phone_hint, next=path)
    await context.portal.cache.put(_key(context), pending.model_dump_json(), STATE_SECONDS)


async def _pending(context: PageContext) -> Pending | None:
    cached = await context.portal.cache.get(_key(context))
    return Pending.model_validate_json(cached.text) if cached else None


def _key(context: PageContext) -> str:
    return f"login:{cookie_hash(context.cookie)}"


@router.get("/login/captchas/{captcha_id}/audio")
async def captcha_audio(context: PageContextDep, captcha_id: Id) -> Response:
    """The captcha spoken, as WAV."""
    return Response(await _calls(context).captcha_audio(captcha_id), media_type="audio/wav")


@router.get("/login/code")
async def ask_code(context: PageContextDep) -> Response:
    """The second step."""
    return await _second_step(context)


async def _second_step(context: PageContext, error: AppError | None = None, code: str = "") -> Response:
    pending = await _pending(context)
    if pending is None:
        return context.redirect("/login")
    response = context.render(
        "session/code.html", status=error.status if error else 200, pending=pending, code=code,
        problem=sentence_of(error) if error else "", code_status=await code_status(context, pending.challenge_id),
    )  # fmt: skip
    response.headers.update(error.headers or {} if error else {})
    return response


@router.get("/login/code/state")
async def code_state(context: PageContextDep) -> Response:
    """The part of the second step that is refreshed by script."""
    pending = await _pending(context)
    if pending is None:
        return Response(status_code=204)
    return context.render(
        "session/code_status.html", pending=pending, code_status=await code_status(context, pending.challenge_id)
    )


@router.post("/login/code")
async def finish(context: PageContextDep) -> Response:
    """Log in with the code, or send it again."""
    pending = await _pending(context)
    if pending is None:
        return context.redirect("/login")
    try:
        if context.form.get("action") == "resend":
            await _calls(context).resend(pending.challenge_id)
            return context.redirect("/login/code")
        return await _log_in(context, pending)
    except AppError as error:
        return await _second_step(context, error, context.form.get("code", ""))


async def _log_in(context: PageContext, pending: Pending) -> Response:
    tokens = await _calls(context).tokens(pending.challenge_id, code_of(context.form), context.device_token)
    person = await PractitionerClient(context.portal.backend, context.caller.with_token(tokens.access_token)).basic()
    cookie = await context.portal.sessions.open("practitioner", tokens.practitioner_id, person.name, tokens)
    await context.portal.cache.drop(_key(context))
    await context.portal.waiting_room.leave(cookie_hash(context.cookie))
    response = context.redirect(pending.next)
    context.set_cookie(response, cookie)
    context.set_device_cookie(response, tokens.device_token)
    return response


@router.post("/logout")
async def log_out(context: PageContextDep) -> Response:
    """End the session here and at identity."""
    if context.session:
        await context.portal.sessions.end(context.cookie, "logged_out")
        with suppress(AppError):  # if identity is unavailable, its session expires later
            await context.client.end_session("current")
    response = context.redirect(f"{'/staff' if context.home == '/staff' else ''}/login?note=out")
    response.delete_cookie(COOKIE_NAME, path="/", secure=True, httponly=True, samesite="lax")
    return response
