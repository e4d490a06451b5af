"""The signature in three steps (guide §5.7): print the signature sheet, upload it signed, see the verdict."""

from typing import Literal

from fastapi import APIRouter
from starlette.responses import Response

from kit.core.errors import AppError
from kit.http.routes import Id
from services.portal.dossier.contents import dossier_of
from services.portal.session.page_context import PageContext, PersonDep

MEDIA_TYPES = {"scan": "image/jpeg", "image": "image/png"}
router = APIRouter()


@router.get("/file/signature")
async def show(context: PersonDep, note: str = "") -> Response:
    """The three steps."""
    return await _page(context, note=note)


async def _page(context: PageContext, note: str = "", problem: str = "", status: int = 200) -> Response:
    dossier = await dossier_of(context, "signature")
    return context.render(
        "dossier/signature.html",
        status=status,
        dossier=dossier,
        signature=dossier.signature,
        note=note,
        problem=problem,
    )


@router.post("/file/signature/forms")
async def make_sheet(context: PersonDep) -> Response:
    """Make a signature sheet and show its PDF."""
    sheet = await context.client.new_sheet()
    return context.redirect(f"/file/signature/forms/{sheet.form_id}.pdf")


@router.get("/file/signature/forms/{form_id}.pdf")
async def print_sheet(context: PersonDep, form_id: Id) -> Response:
    """The signature sheet as PDF."""
    content = await context.client.sheet_pdf(form_id)
    disposition = {"Content-Disposition": 'inline; filename="signature-form.pdf"'}
    return Response(content, media_type="application/pdf", headers=disposition)


@router.get("/file/signature/forms")
@router.get("/file/signature/upload")
async def back(context: PersonDep) -> Response:
    """The page with the forms, if their address is opened."""
    return context.redirect("/file/signature")


@router.post("/file/signature/upload")
async def upload(context: PersonDep) -> Response:
    """Upload the signed sheet."""
    try:
        await context.client.upload_signature(context.chosen_file())
    except AppError as error:
        context.raise_session_errors(error)
        return await _page(context, problem=str(error.detail), status=error.status)
    return context.redirect("/file/signature#view")


@router.get("/file/signature/state")
async def state(context: PersonDep) -> Response:
    """The part of the page that is refreshed by script."""
    return context.render("dossier/signature_state.html", signature=await context.client.signature())


@router.get("/file/signature/{which}")
async def image(context: PersonDep, which: Literal["scan", "image"]) -> Response:
    """The accepted sheet, or the signature alone."""
    content = await context.client.signature_image(which)
    disposition = {"Content-Disposition": f'inline; filename="{which}"'}
    return Response(content, media_type=MEDIA_TYPES[which], headers=disposition)
