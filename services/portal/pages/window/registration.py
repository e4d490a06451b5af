"""Registering at the window, from a card or by hand: somebody who comes, or a person on file once more.

Who may be on file already is asked first, and so is whether an expired document counts.
"""

from collections.abc import Collection
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from contracts.identity import DOCUMENT_TITLES
from kit.core.errors import AppError, NotFound
from kit.http.pages import CONTENT_POLICY, content_policy
from services.portal.client.staff import StaffCalls
from services.portal.domain import PHOTO_BYTES
from services.portal.session.forms import errors_of
from services.portal.session.visits import PageContext
from services.portal.window.attending import AttendedDep, AttendedPerson, ClerkDep
from services.portal.window.registration import (
    ANSWERS,
    ASKED,
    BY_HAND,
    CARD,
    EXPIRED,
    RENEWED,
    SAME_AS,
    Question,
    body_of,
    entries_of,
    is_answered,
    question_of,
    same_as,
    values_of,
    with_photo,
)


def _offered(document_type: Annotated[str, Path(max_length=40)]) -> str:
    if document_type not in (CARD, *BY_HAND):
        raise NotFound
    return document_type


DocumentType = Annotated[str, Depends(_offered)]
TITLES = {
    "document_type": "证件类型", "reader": "读卡机", "portrait": "照片", EXPIRED: "证件已过期", RENEWED: "换发的证件",
    SAME_AS: "可能已有档案",
}  # fmt: skip
router = APIRouter()


@router.get("/staff/register")
async def choose(visit: ClerkDep) -> Response:
    """Which document."""
    return visit.page("window/choose.html", by_hand=BY_HAND)


@router.get("/staff/register/{document_type}")
async def form(visit: ClerkDep, document_type: DocumentType) -> Response:
    """The form of a document, with what was typed before the session ended."""
    draft = await visit.draft() or {}
    return _form(visit, document_type, with_photo(draft, visit.file))


@router.post("/staff/register/{document_type}")
async def register(visit: ClerkDep, document_type: DocumentType) -> Response:
    """Register a person, or read their document again."""
    return await _submitted(visit, document_type)


@router.get("/staff/people/{person}/register/{document_type}")
async def form_of(visit: ClerkDep, who: AttendedDep, document_type: DocumentType) -> Response:
    """The same for somebody on file, with their data; a card brings its own."""
    draft = await visit.draft()
    if draft is not None or document_type == CARD:
        return _form(visit, document_type, with_photo(draft or {}, visit.file), who=who)
    return _form(visit, document_type, values_of(await who.file.basic(), document_type), who=who, on_file=True)


@router.post("/staff/people/{person}/register/{document_type}")
async def collect(visit: ClerkDep, who: AttendedDep, document_type: DocumentType) -> Response:
    """Collect their data again; a document that is not theirs changes nothing."""
    return await _submitted(visit, document_type, who)


async def _submitted(visit: PageContext, document_type: str, who: AttendedPerson | None = None) -> Response:
    calls = StaffCalls(visit.portal.backend, visit.asker)
    try:
        visit.form = with_photo(visit.form, visit.file)
        body = body_of(document_type, visit.form) | ({SAME_AS: who.id} if who else {})
        if not is_answered(body, visit.form):
            question = question_of(body, await calls.check(body), who.name if who else "")
            if question.names:
                values = visit.form if visit.form.get(ASKED) == question.about else _without(visit.form, ANSWERS)
                return _form(visit, document_type, values, question=question, who=who)
            visit.form = _without(visit.form, ANSWERS)
        person, new = await calls.register(same_as(visit.form) | body)
    except AppError as error:
        visit.still_there(error)
        chosen = visit.form if _is_elsewhere(error) else _without(visit.form, ANSWERS)
        return _form(visit, document_type, chosen, error, who=who)
    renewed = same_as(visit.form) or visit.form.get(RENEWED)
    note = "registered" if new else "renewed" if renewed else "read_again"
    return await visit.done(f"/staff/people/{person}?note={note}")


def _without(values: dict[str, str], names: Collection[str]) -> dict[str, str]:
    return {name: text for name, text in values.items() if name not in names}


def _is_elsewhere(error: AppError) -> bool:
    """Whether an error has nothing to do with what the clerk answered: the answers still count."""
    return error.status != 409 and SAME_AS not in errors_of(error)


def _form(
    visit: PageContext, document_type: str, values: dict[str, str], error: AppError | None = None, *,
    question: Question | None = None, who: AttendedPerson | None = None, on_file: bool = False,
) -> Response:  # fmt: skip
    """From a card, its page may ask the reader's agent; no other page may. `on_file`: nothing was typed yet."""
    reader = visit.portal.reader if document_type == CARD else None
    errors = errors_of(error) if error else question.errors if question else {}
    response = visit.page(
        "window/register.html", status=error.status if error else 422 if question else 200, values=values, who=who,
        document_type=document_type, entries=entries_of(document_type), errors=errors, question=question,
        problem=error.detail if error else "登记前请先确认" if question else "", reader=reader,
        titles={entry.name: entry.title for entry in entries_of(document_type)} | TITLES, types=DOCUMENT_TITLES,
        photo_bytes=PHOTO_BYTES, by_hand=BY_HAND, here="basic", answers=ANSWERS, on_file=on_file,
    )  # fmt: skip
    if reader:
        response.headers[CONTENT_POLICY] = content_policy(reader)
    return response
