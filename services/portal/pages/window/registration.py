"""Registration at the window, from a card or by hand, of a new or a registered person.

Similar people and expired documents have to be confirmed first.
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
from services.portal.session.page_context import PageContext
from services.portal.window.attended_person import AttendedDep, AttendedPerson, ClerkDep
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
async def choose(context: ClerkDep) -> Response:
    """Choose a document type."""
    return context.render("window/choose_document.html", by_hand=BY_HAND)


@router.get("/staff/register/{document_type}")
async def form(context: ClerkDep, document_type: DocumentType) -> Response:
    """The form for a document type, or its draft."""
    draft = await context.load_draft() or {}
    return _form(context, document_type, with_photo(draft, context.file))


@router.post("/staff/register/{document_type}")
async def register(context: ClerkDep, document_type: DocumentType) -> Response:
    """Register a person, or update the owner of a known document."""
    return await _submitted(context, document_type)


@router.get("/staff/people/{person}/register/{document_type}")
async def form_of(context: ClerkDep, attended: AttendedDep, document_type: DocumentType) -> Response:
    """The form for a registered person, filled with their data unless a card is read."""
    draft = await context.load_draft()
    if draft is not None or document_type == CARD:
        return _form(context, document_type, with_photo(draft or {}, context.file), attended=attended)
    return _form(
        context, document_type, values_of(await attended.client.basic(), document_type), attended=attended, on_file=True
    )


@router.post("/staff/people/{person}/register/{document_type}")
async def collect(context: ClerkDep, attended: AttendedDep, document_type: DocumentType) -> Response:
    """Update a registered person; the document of another person changes nothing."""
    return await _submitted(context, document_type, attended)


async def _submitted(context: PageContext, document_type: str, attended: AttendedPerson | None = None) -> Response:
    calls = StaffCalls(context.portal.backend, context.caller)
    try:
        context.form = with_photo(context.form, context.file)
        body = body_of(document_type, context.form) | ({SAME_AS: attended.id} if attended else {})
        if not is_answered(body, context.form):
            question = question_of(body, await calls.check(body), attended.name if attended else "")
            if question.names:
                values = context.form if context.form.get(ASKED) == question.about else _without(context.form, ANSWERS)
                return _form(context, document_type, values, question=question, attended=attended)
            context.form = _without(context.form, ANSWERS)
        person, new = await calls.register(same_as(context.form) | body)
    except AppError as error:
        context.raise_session_errors(error)
        values = context.form if _keeps_answers(error) else _without(context.form, ANSWERS)
        return _form(context, document_type, values, error, attended=attended)
    renewed = same_as(context.form) or context.form.get(RENEWED)
    note = "registered" if new else "renewed" if renewed else "read_again"
    return await context.finish(f"/staff/people/{person}?note={note}")


def _without(values: dict[str, str], names: Collection[str]) -> dict[str, str]:
    return {name: text for name, text in values.items() if name not in names}


def _keeps_answers(error: AppError) -> bool:
    """Whether the clerk's answers are still valid after this error."""
    return error.status != 409 and SAME_AS not in errors_of(error)


def _form(
    context: PageContext, document_type: str, values: dict[str, str], error: AppError | None = None, *,
    question: Question | None = None, attended: AttendedPerson | None = None, on_file: bool = False,
) -> Response:  # fmt: skip
    """The form. Only a card's may call the reader's agent, by its content policy. `on_file`: nothing was typed yet."""
    reader = context.portal.reader_origin if document_type == CARD else None
    errors = errors_of(error) if error else question.errors if question else {}
    response = context.render(
        "window/register.html", status=error.status if error else 422 if question else 200, values=values,
        attended=attended, document_type=document_type, entries=entries_of(document_type), errors=errors,
        question=question, reader=reader,
        problem=error.detail if error else "登记前请先确认" if question else "",
        titles={entry.name: entry.title for entry in entries_of(document_type)} | TITLES, types=DOCUMENT_TITLES,
        photo_bytes=PHOTO_BYTES, by_hand=BY_HAND, current="basic", answers=ANSWERS, on_file=on_file,
    )  # fmt: skip
    if reader:
        response.headers[CONTENT_POLICY] = content_policy(reader)
    return response
