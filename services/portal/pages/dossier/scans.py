"""The scan of a record (guide §5.2.2): upload, verdict, delete; and its images."""

import asyncio
from typing import Literal

from fastapi import APIRouter
from starlette.responses import Response

from kit.http.routes import Id
from services.portal.client.models import Record
from services.portal.dossier.contents import Dossier, open_record
from services.portal.dossier.record_page import (
    Editing,
    leave,
    open_to_edit,
    own_kind,
    scan_of,
    upload,
    upload_corrected,
)
from services.portal.session.page_context import PageContext, PersonDep, own_path

router = APIRouter()


@router.get("/records/{record_id}/attachment")
async def show(context: PersonDep, record_id: Id) -> Response:
    """The scan is part of the record's page."""
    return context.redirect(f"/records/{record_id}#attachment")


@router.post("/records/{record_id}/attachment")
async def upload_scan(context: PersonDep, record_id: Id) -> Response:
    """Upload a scan without saving the record."""
    dossier, editing, record = await _opened(context, record_id)
    return await upload(context, dossier, editing, record)


@router.get("/records/{record_id}/attachment/corrected")
async def back(context: PersonDep, record_id: Id) -> Response:
    """The page with the form, if its address is opened."""
    return context.redirect(f"/records/{record_id}#attachment")


@router.post("/records/{record_id}/attachment/corrected")
async def use_corrected(context: PersonDep, record_id: Id) -> Response:
    """Upload the scan that was made of a photo."""
    dossier, editing, record = await _opened(context, record_id)
    return await upload_corrected(context, dossier, editing, record)


async def _opened(context: PageContext, record_id: str) -> tuple[Dossier, Editing, Record]:
    """The record with its form, as far as that was sent."""
    record, dossier = await open_to_edit(context, record_id, context.form)
    typed = context.form if "base" in context.form else None
    return dossier, Editing(own_kind(dossier.kinds, record.kind), record, typed), record


@router.get("/corrections/{correction_id}/image")
async def corrected_image(context: PersonDep, correction_id: Id) -> Response:
    """The scan that was made of a photo."""
    content = await context.client.corrected_image(correction_id)
    return Response(content, media_type="image/jpeg", headers={"Content-Disposition": 'inline; filename="scan.jpg"'})


@router.post("/records/{record_id}/leave")
async def leave_form(context: PersonDep, record_id: Id) -> Response:
    """Redirect to a page of the scan; unsaved changes of the record are kept as a draft."""
    record, dossier = await open_to_edit(context, record_id, context.form)
    return await leave(context, own_kind(dossier.kinds, record.kind), record, own_path(context.form.get("to", "/")))


@router.get("/records/{record_id}/attachment/state")
async def state(context: PersonDep, record_id: Id) -> Response:
    """The part of the record's page that is refreshed by script."""
    record, scan = await asyncio.gather(context.client.record(record_id), scan_of(context, record_id))
    kind = own_kind(await context.portal.catalogue.kinds(), record.kind)
    return context.render("dossier/scan.html", kind=kind, record=record, scan=scan)


@router.get("/records/{record_id}/attachment/delete")
async def ask_to_delete(context: PersonDep, record_id: Id) -> Response:
    """Ask for confirmation."""
    record, dossier = await open_record(context, record_id)
    attachment = await dossier.client.attachment(record_id)
    return context.render("dossier/delete_scan.html", dossier=dossier, record=record, attachment=attachment)


@router.post("/records/{record_id}/attachment/delete")
async def delete(context: PersonDep, record_id: Id) -> Response:
    """Delete the scan, so that another one can be uploaded."""
    await context.client.delete_attachment(record_id)
    return context.redirect(f"/records/{record_id}?note=removed#attachment")


@router.get("/attachments/{attachment_id}/{which}")
async def image(context: PersonDep, attachment_id: Id, which: Literal["image", "thumbnail"]) -> Response:
    """The image of an accepted scan."""
    content = await context.client.scan_image(attachment_id, which)
    return Response(content, media_type="image/jpeg", headers={"Content-Disposition": 'inline; filename="scan.jpg"'})
