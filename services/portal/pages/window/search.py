"""Find a person by their identity document."""

from collections.abc import Mapping

from fastapi import APIRouter
from starlette.responses import Response

from kit.core.errors import AppError, FieldError, InvalidFields
from kit.core.text import REQUIRED
from services.portal.client.staff import StaffCalls
from services.portal.session.forms import errors_of
from services.portal.session.page_context import PageContext
from services.portal.window.attended_person import ClerkDep

WITH_COUNTRY = ("passport", "foreign_permanent_resident_id")
NO_COUNTRY = "该类证件没有签发国（地区），请清空此项，或改选证件类型"
NOBODY = "没有找到持有该证件的人员。请核对证件类型、号码和签发国（地区）；尚未登记的，请先登记"
router = APIRouter()


@router.get("/staff/find")
async def search(context: ClerkDep) -> Response:
    """The form."""
    context.form = await context.load_draft() or {}
    return _search_page(context)


def _search_page(context: PageContext, error: AppError | None = None) -> Response:
    problem = "" if error is None else NOBODY if error.status == 404 else str(error.detail)
    return context.render(
        "window/find.html", status=error.status if error else 200, values=context.form, problem=problem,
        errors=errors_of(error) if error else {},
    )  # fmt: skip


@router.post("/staff/find")
async def find(context: ClerkDep) -> Response:
    """Find the owner of a document; POST keeps its number out of URLs."""
    names = ("document_type", "document_number", "nationality")
    document = {name: text for name in names if (text := context.form.get(name, "").strip())}
    if "nationality" in document:
        document["nationality"] = document["nationality"].upper()
    try:
        _validate(document)
        person = await StaffCalls(context.portal.backend, context.caller).find(document)
    except AppError as error:
        context.raise_session_errors(error)
        return _search_page(context, error)
    return await context.finish(f"/staff/people/{person}")


def _validate(document: Mapping[str, str]) -> None:
    """Raises 422 for missing fields, and for a country given for a document type that has none."""
    wrong = [
        FieldError(field=name, code="required", message=REQUIRED)
        for name in ("document_type", "document_number")
        if name not in document
    ]
    if "nationality" in document and document.get("document_type", "passport") not in WITH_COUNTRY:
        wrong.append(FieldError(field="nationality", code="not_applicable", message=NO_COUNTRY))
    if wrong:
        raise InvalidFields(wrong)
