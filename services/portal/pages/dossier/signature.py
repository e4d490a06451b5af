"""The signature in the guide's three steps (§5.7): print the form, upload it signed, look at what became of it."""

from typing import Literal

from fastapi import APIRouter
from starlette.responses import Response

from kit.core.errors import AppError
from kit.http.routes import Id
from services.portal.dossier.contents import file_of
from services.portal.session.visits import PageContext, PersonDep

MEDIA_TYPES = {"scan": "image/jpeg", "image": "image/png"}
router = APIRouter()


@router.get("/file/signature")
async def show(visit: PersonDep, note: str = "") -> Response:
    """The three steps."""
    return await _page(visit, note=note)


async def _page(visit: PageContext, note: str = "", problem: str = "", status: int = 200) -> Response:
    file = await file_of(visit, "signature")
    return visit.page(
        "dossier/signature.html", status=status, file=file, signature=file.signature, note=note, problem=problem
    )


@router.post("/file/signature/forms")
async def make_form(visit: PersonDep) -> Response:
    """A form of the person's own, to be printed."""
    form = await visit.own_file.new_form()
    return visit.go(f"/file/signature/forms/{form.form_id}.pdf")


@router.get("/file/signature/forms/{form_id}.pdf")
async def print_form(visit: PersonDep, form_id: Id) -> Response:
    """The form."""
    content = await visit.own_file.form_pdf(form_id)
    disposition = {"Content-Disposition": 'inline; filename="signature-form.pdf"'}
    return Response(content, media_type="application/pdf", headers=disposition)


@router.get("/file/signature/forms")
@router.get("/file/signature/upload")
async def back(visit: PersonDep) -> Response:
    """Where these forms stand."""
    return visit.go("/file/signature")


@router.post("/file/signature/upload")
async def upload(visit: PersonDep) -> Response:
    """Hand in the signed form."""
    try:
        await visit.own_file.upload_signature(visit.chosen_file())
    except AppError as error:
        visit.still_there(error)
        return await _page(visit, problem=str(error.detail), status=error.status)
    return visit.go("/file/signature#view")


@router.get("/file/signature/state")
async def state(visit: PersonDep) -> Response:
    """The part of the page that changes by itself."""
    return visit.page("dossier/signature_state.html", signature=await visit.own_file.signature())


@router.get("/file/signature/{which}")
async def picture(visit: PersonDep, which: Literal["scan", "image"]) -> Response:
    """The accepted page, or the signature alone."""
    content = await visit.own_file.signature_picture(which)
    disposition = {"Content-Disposition": f'inline; filename="{which}"'}
    return Response(content, media_type=MEDIA_TYPES[which], headers=disposition)
