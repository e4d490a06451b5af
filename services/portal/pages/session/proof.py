"""A fresh proof: the person types a code once more, then goes on with what they were doing."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response

from kit.core.errors import AppError
from services.portal.client.login import LoginCalls
from services.portal.pages.dossier import account, signature
from services.portal.session.codes import where_is
from services.portal.session.forms import code_of
from services.portal.session.sessions import cookie_hash
from services.portal.session.visits import PROOF, PageContext, PersonDep, own_path

CODE_SECONDS = 600
Next = Annotated[str, Query(max_length=500)]
Action = Callable[..., Awaitable[Response]]
ACTIONS: tuple[tuple[str, Action], ...] = (
    ("/file/signature/upload", signature.upload),
    ("/account/sessions/([0-9a-f-]{36})/end", account.end),
    ("/account/sessions/end", account.end_others),
)
"""Forms that wait for a proof, by the path they were sent to; its groups are the action's arguments."""
router = APIRouter()


class Sent(BaseModel):
    """A code that was sent for this browser."""

    challenge_id: str
    phone_hint: str


@router.get(PROOF)
async def show(visit: PersonDep, next: Next = "/") -> Response:  # noqa: A002  # the word in the address
    """Send a code, or type the one that was sent."""
    return await _page(visit, own_path(next))


async def _page(visit: PageContext, then: str, error: AppError | None = None) -> Response:
    kept = await visit.portal.vault.get(_key(visit))
    sent = Sent.model_validate_json(kept.text) if kept else None
    response = visit.page(
        "session/proof.html", status=error.status if error else 200, next=then, pending=sent,
        where=await where_is(visit, sent.challenge_id) if sent else None, code=visit.form.get("code", ""),
        problem=error.detail if error else "",
    )  # fmt: skip
    response.headers.update(error.headers or {} if error else {})
    return response


def _key(visit: PageContext) -> str:
    return f"proof:{cookie_hash(visit.cookie)}"


@router.post(PROOF)
async def prove(visit: PersonDep) -> Response:
    """Send a code; or take it, and go on."""
    then = own_path(visit.form.get("next", "/"))
    try:
        if "send" in visit.form:
            await _send(visit)
            return await _page(visit, then)
        await _take(visit)
    except AppError as error:
        if error.code != "code_wrong":  # 401 too, and no end of the session
            visit.still_there(error)
        return await _page(visit, then, error)
    return await _go_on(visit, then)


async def _send(visit: PageContext) -> None:
    sent = await LoginCalls(visit.portal.backend, visit.asker).proof_code()
    kept = Sent(challenge_id=sent.challenge_id, phone_hint=sent.phone_hint)
    await visit.portal.vault.put(_key(visit), kept.model_dump_json(), CODE_SECONDS)


async def _take(visit: PageContext) -> None:
    kept = await visit.portal.vault.get(_key(visit))
    challenge = Sent.model_validate_json(kept.text).challenge_id if kept else ""
    sessions = visit.portal.sessions
    visit.session = await sessions.prove(visit.cookie, visit.asker, challenge, code_of(visit.form))
    await visit.portal.vault.drop(_key(visit))


async def _go_on(visit: PageContext, then: str) -> Response:
    """With the form that was kept, as if it had been sent now; without one, to the page that was wanted."""
    for path, action in ACTIONS:
        found = re.fullmatch(path, then)
        held = await visit.take_held(then) if found else None
        if found and held:
            visit.form, visit.form_page, visit.file = held.fields, held.page, held.file
            return await action(visit, *found.groups())
    return visit.go(then)
