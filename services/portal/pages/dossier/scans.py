"""The scan of a record (guide §5.2.2): upload, what became of it, delete; and the pictures."""

import asyncio
from typing import Literal

from fastapi import APIRouter
from starlette.responses import Response

from kit.http.routes import Id
from services.portal.dossier.contents import opened
from services.portal.dossier.editing import Editing, leave, opened_to_edit, own_kind, scan_of, upload
from services.portal.session.visits import PersonDep, own_path

router = APIRouter()


@router.get("/records/{record_id}/attachment")
async def show(visit: PersonDep, record_id: Id) -> Response:
    """It stands on the record's page."""
    return visit.go(f"/records/{record_id}#attachment")


@router.post("/records/{record_id}/attachment")
async def hand_in(visit: PersonDep, record_id: Id) -> Response:
    """Hand in a scan, without saving the record."""
    record, file = await opened_to_edit(visit, record_id, visit.form)
    typed = visit.form if "base" in visit.form else None
    return await upload(visit, file, Editing(own_kind(file.kinds, record.kind), record, typed), record)


@router.post("/records/{record_id}/leave")
async def leave_form(visit: PersonDep, record_id: Id) -> Response:
    """To the scan's own pages; what is not saved of the record waits."""
    record, file = await opened_to_edit(visit, record_id, visit.form)
    return await leave(visit, own_kind(file.kinds, record.kind), record, own_path(visit.form.get("to", "/")))


@router.get("/records/{record_id}/attachment/state")
async def state(visit: PersonDep, record_id: Id) -> Response:
    """The part of the record's page that changes by itself."""
    record, scan = await asyncio.gather(visit.own_file.record(record_id), scan_of(visit, record_id))
    kind = own_kind(await visit.portal.catalogue.kinds(), record.kind)
    return visit.page("dossier/scan.html", kind=kind, record=record, scan=scan)


@router.get("/records/{record_id}/attachment/delete")
async def ask_to_delete(visit: PersonDep, record_id: Id) -> Response:
    """Are you sure."""
    record, file = await opened(visit, record_id)
    attachment = await file.own.attachment(record_id)
    return visit.page("dossier/delete_scan.html", file=file, record=record, attachment=attachment)


@router.post("/records/{record_id}/attachment/delete")
async def delete(visit: PersonDep, record_id: Id) -> Response:
    """Make room for another scan."""
    await visit.own_file.delete_attachment(record_id)
    return visit.go(f"/records/{record_id}?note=removed#attachment")


@router.get("/attachments/{attachment_id}/{which}")
async def picture(visit: PersonDep, attachment_id: Id, which: Literal["image", "thumbnail"]) -> Response:
    """An accepted scan."""
    content = await visit.own_file.picture(attachment_id, which)
    return Response(content, media_type="image/jpeg", headers={"Content-Disposition": 'inline; filename="scan.jpg"'})
