"""The window: find a person by their document."""

from collections.abc import Mapping

from fastapi import APIRouter
from starlette.responses import Response

from kit.core.errors import AppError, FieldError, InvalidFields
from kit.core.text import REQUIRED
from services.portal.client.staff import StaffCalls
from services.portal.session.forms import errors_of
from services.portal.session.visits import PageContext
from services.portal.window.attending import ClerkDep

OF_A_COUNTRY = ("passport", "foreign_permanent_resident_id")
NO_COUNTRY = "该类证件没有签发国（地区），请清空此项，或改选证件类型"
NOBODY = "没有找到持有该证件的人员。请核对证件类型、号码和签发国（地区）；尚未登记的，请先登记"
router = APIRouter()


@router.get("/staff/find")
async def search(visit: ClerkDep) -> Response:
    """The form."""
    visit.form = await visit.draft() or {}
    return _search_page(visit)


def _search_page(visit: PageContext, error: AppError | None = None) -> Response:
    problem = "" if error is None else NOBODY if error.status == 404 else str(error.detail)
    return visit.page(
        "window/find.html", status=error.status if error else 200, values=visit.form, problem=problem,
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
        person = await StaffCalls(visit.portal.backend, visit.asker).find(document)
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
