"""Recent authentication: the person enters a code, then the action that required it is carried out."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response

from kit.core.errors import AppError
from services.portal.client.login import LoginCalls
from services.portal.pages.dossier import account, signature
from services.portal.session.code_status import code_status
from services.portal.session.forms import code_of
from services.portal.session.page_context import PROOF, PageContext, PersonDep, own_path
from services.portal.session.sessions import cookie_hash

CODE_SECONDS = 600
Next = Annotated[str, Query(max_length=500)]
Action = Callable[..., Awaitable[Response]]
ACTIONS: tuple[tuple[str, Action], ...] = (
    ("/file/signature/upload", signature.upload),
    ("/account/sessions/([0-9a-f-]{36})/end", account.end),
    ("/account/sessions/end", account.end_others),
)
"""Forms that are held meanwhile, by the path of their submission; its groups are the action's arguments."""
router = APIRouter()


class Sent(BaseModel):
    """The code that was sent for this browser."""

    challenge_id: str
    phone_hint: str


@router.get(PROOF)
async def show(context: PersonDep, next: Next = "/") -> Response:  # noqa: A002  # the word in the address
    """Forms to send a code, and to enter it."""
    return await _page(context, own_path(next))


async def _page(context: PageContext, then: str, error: AppError | None = None) -> Response:
    cached = await context.portal.cache.get(_key(context))
    sent = Sent.model_validate_json(cached.text) if cached else None
    response = context.render(
        "session/proof.html", status=error.status if error else 200, next=then, pending=sent,
        code_status=await code_status(context, sent.challenge_id) if sent else None,
        code=context.form.get("code", ""), problem=error.detail if error else "",
    )  # fmt: skip
    response.headers.update(error.headers or {} if error else {})
    return response


def _key(context: PageContext) -> str:
    return f"proof:{cookie_hash(context.cookie)}"


@router.post(PROOF)
async def prove(context: PersonDep) -> Response:
    """Send a code, or check the one that was entered and carry on."""
    then = own_path(context.form.get("next", "/"))
    try:
        if "send" in context.form:
            await _send(context)
            return await _page(context, then)
        await _check(context)
    except AppError as error:
        if error.code != "code_wrong":  # also 401, but the session has not ended
            context.raise_session_errors(error)
        return await _page(context, then, error)
    return await _carry_on(context, then)


async def _send(context: PageContext) -> None:
    sent = await LoginCalls(context.portal.backend, context.caller).proof_code()
    pending = Sent(challenge_id=sent.challenge_id, phone_hint=sent.phone_hint)
    await context.portal.cache.put(_key(context), pending.model_dump_json(), CODE_SECONDS)


async def _check(context: PageContext) -> None:
    cached = await context.portal.cache.get(_key(context))
    challenge = Sent.model_validate_json(cached.text).challenge_id if cached else ""
    sessions = context.portal.sessions
    context.session = await sessions.prove(context.cookie, context.caller, challenge, code_of(context.form))
    await context.portal.cache.drop(_key(context))


async def _carry_on(context: PageContext, then: str) -> Response:
    """Carry out the held form as if it was submitted now; without one, redirect to `then`."""
    for path, action in ACTIONS:
        found = re.fullmatch(path, then)
        held = await context.take_held_upload(then) if found else None
        if found and held:
            context.form, context.form_page, context.file = held.fields, held.page, held.file
            return await action(context, *found.groups())
    return context.redirect(then)
