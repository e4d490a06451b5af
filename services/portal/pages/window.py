"""The window: find a person by their document, register them from a card or by hand."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from contracts.identity import DOCUMENT_TITLES
from kit.errors import AppError, FieldError, InvalidFields, NotFound
from kit.pages import CONTENT_POLICY, content_policy
from kit.text import REQUIRED
from services.portal.attending import ClerkDep
from services.portal.forms import errors_of
from services.portal.registration import BY_HAND, CARD, PHOTO_BYTES, body_of, entries_of, with_photo
from services.portal.staff_calls import StaffCalls
from services.portal.visits import Visit

DocumentType = Annotated[str, Path(pattern="^[a-z_]{1,40}$")]
OF_A_COUNTRY = ("passport", "foreign_permanent_resident_id")
NO_COUNTRY = "该类证件没有签发国（地区），请清空此项，或改选证件类型"
NOBODY = "没有找到持有该证件的人员。请核对证件类型、号码和签发国（地区）；尚未登记的，请先登记"
router = APIRouter()


def _calls(visit: Visit) -> StaffCalls:
    return StaffCalls(visit.portal.backend, visit.asker)


@router.get("/staff/find")
async def search(visit: ClerkDep) -> Response:
    """The form."""
    visit.form = await visit.draft() or {}
    return _search_page(visit)


def _search_page(visit: Visit, error: AppError | None = None) -> Response:
    problem = "" if error is None else NOBODY if error.status == 404 else str(error.detail)
    return visit.page(
        "staff/find.html", status=error.status if error else 200, values=visit.form, problem=problem,
        errors=errors_of(error) if error else {},
    )  # fmt: skip


@router.post("/staff/find")
async def find(visit: ClerkDep) -> Response:
    """Find who has this document; the number never stands in an address."""
    names = ("document_type", "document_number", "nationality")
    document = {name: text for name in names if (text := visit.form.get(name, "").strip())}
    if "nationality" in document:
        document["nationality"] = document["nationality"].upper()
    try:
        _judge(document)
        person = await _calls(visit).find(document)
    except AppError as error:
        visit.still_there(error)
        return _search_page(visit, error)
    return await visit.done(f"/staff/people/{person}")


def _judge(document: Mapping[str, str]) -> None:
    """Raises 422 with all that is wrong: a country that was typed for a document that has none is not ignored."""
    wrong = [
        FieldError(field=name, code="required", message=REQUIRED)
        for name in ("document_type", "document_number")
        if name not in document
    ]
    if "nationality" in document and document.get("document_type", "passport") not in OF_A_COUNTRY:
        wrong.append(FieldError(field="nationality", code="not_applicable", message=NO_COUNTRY))
    if wrong:
        raise InvalidFields(wrong)


@router.get("/staff/register")
async def choose(visit: ClerkDep) -> Response:
    """Which document."""
    return visit.page("staff/choose.html", by_hand=BY_HAND)


@router.get("/staff/register/{document_type}")
async def form(visit: ClerkDep, document_type: DocumentType) -> Response:
    """The form of a document, with what was typed before the session ended."""
    draft = await visit.draft() or {}
    return _form(visit, document_type, with_photo(draft, visit.file))


def _form(visit: Visit, document_type: str, values: dict[str, str], error: AppError | None = None) -> Response:
    """From a card, its page may ask the reader's agent; no other page may."""
    if document_type not in (CARD, *BY_HAND):
        raise NotFound
    reader = visit.portal.reader if document_type == CARD else None
    response = visit.page(
        "staff/register.html", status=error.status if error else 200, document_type=document_type, values=values,
        entries=entries_of(document_type), errors=errors_of(error) if error else {},
        problem=error.detail if error else "", reader=reader, titles=_titles(document_type), types=DOCUMENT_TITLES,
        photo_bytes=PHOTO_BYTES,
    )  # fmt: skip
    if reader:
        response.headers[CONTENT_POLICY] = content_policy(reader)
    return response


def _titles(document_type: str) -> dict[str, str]:
    titles = {entry.name: entry.title for entry in entries_of(document_type)}
    return titles | {"document_type": "证件类型", "reader": "读卡机", "portrait": "照片"}


@router.post("/staff/register/{document_type}")
async def register(visit: ClerkDep, document_type: DocumentType) -> Response:
    """Register a person, or read their document again."""
    if document_type not in (CARD, *BY_HAND):
        raise NotFound
    visit.form = with_photo(visit.form, visit.file)
    try:
        person, new = await _calls(visit).register(body_of(document_type, visit.form))
    except AppError as error:
        visit.still_there(error)
        return _form(visit, document_type, visit.form, error)
    return await visit.done(f"/staff/people/{person}?note={'registered' if new else 'read_again'}")
