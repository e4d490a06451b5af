"""Pages of a person's account: sessions, access log, export of all data."""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response, StreamingResponse

from kit.core.clock import shanghai_date
from kit.http.routes import Id
from services.portal.dossier.contents import Dossier, dossier_of
from services.portal.dossier.export_zip import ExportImage, export_zip, images_of
from services.portal.dossier.printing import document
from services.portal.dossier.visits import visits
from services.portal.session.page_context import PageContext, PersonDep

Cursor = Annotated[str, Query(max_length=200)]
router = APIRouter()


@router.get("/account/sessions")
async def sessions(context: PersonDep, note: str = "") -> Response:
    """The person's sessions."""
    dossier = await dossier_of(context, "sessions")
    return context.render("dossier/sessions.html", dossier=dossier, sessions=await dossier.client.sessions(), note=note)


@router.get("/account/sessions/{session_id}/end")
async def back(context: PersonDep, session_id: Id) -> Response:
    """The page with the form, if its address is opened."""
    return context.redirect("/account/sessions")


@router.post("/account/sessions/{session_id}/end")
async def end(context: PersonDep, session_id: Id) -> Response:
    """End a session on another device."""
    await context.client.end_session(session_id)
    return context.redirect("/account/sessions?note=ended")


@router.get("/account/sessions/end")
async def back_to_all(context: PersonDep) -> Response:
    """The page with the form, if its address is opened."""
    return context.redirect("/account/sessions")


@router.post("/account/sessions/end")
async def end_others(context: PersonDep) -> Response:
    """End all other sessions, and remove all other known devices."""
    await context.client.end_other_sessions()
    return context.redirect("/account/sessions?note=ended_others")


@router.get("/account/looks")
async def access_log(context: PersonDep, cursor: Cursor = "") -> Response:
    """Who accessed the person's dossier, and why; by visit."""
    dossier = await dossier_of(context, "access_log")
    page = await dossier.client.access_log(cursor)
    return context.render(
        "dossier/access_log.html", dossier=dossier, visits=visits(page.items), next_cursor=page.next_cursor
    )


def _proved(context: PersonDep) -> PageContext:
    context.require_fresh("/account/download")
    return context


ProvedDep = Annotated[PageContext, Depends(_proved)]
"""A practitioner with a recent authentication."""


async def _exporting(context: ProvedDep) -> PageContext:
    if context.session:
        await context.portal.quotas.admit("exports", context.session.kind, context.session.subject)
    return context


ExportingDep = Annotated[PageContext, Depends(_exporting)]
"""A practitioner with a recent authentication and exports left in their quota."""


@router.get("/account/download")
async def download(context: ProvedDep) -> Response:
    """The formats to choose from."""
    return context.render("dossier/download.html", dossier=await dossier_of(context, "download"))


@router.get("/account/download.zip")
async def download_zip(context: ExportingDep) -> Response:
    """Everything: JSON, PDF and images."""
    dossier, now = await dossier_of(context), context.portal.clock.now()
    images = images_of(dossier)
    texts = {"data.json": await _json(context, now, images), "practitioner.pdf": await _pdf(context, dossier, now)}
    pieces = export_zip(texts, images, context.refreshed_client, now)
    return StreamingResponse(pieces, headers=_named("zip", now), media_type="application/zip")


@router.get("/account/download.json")
async def download_json(context: ExportingDep) -> Response:
    """All of the person's data, as the services return them."""
    now = context.portal.clock.now()
    return Response(await _json(context, now), headers=_named("json", now), media_type="application/json")


@router.get("/account/download.pdf")
async def download_pdf(context: ExportingDep) -> Response:
    """All of the person's data, for reading and printing."""
    dossier, now = await dossier_of(context), context.portal.clock.now()
    return Response(await _pdf(context, dossier, now), headers=_named("pdf", now), media_type="application/pdf")


async def _json(context: PageContext, at: datetime, images: Sequence[ExportImage] = ()) -> bytes:
    data = {"made_at": at.isoformat(), **await context.client.everything()}
    if images:
        data["pictures"] = {image.path: image.id for image in images}
    return json.dumps(data, ensure_ascii=False, indent=2).encode()


async def _pdf(context: PageContext, dossier: Dossier, at: datetime) -> bytes:
    client = dossier.client
    parts = await asyncio.gather(client.basic(), client.certificate(), client.sessions(), client.whole_access_log())
    return await context.portal.printer.pdf_in_subprocess(document(dossier, *parts, at), at)


def _named(kind: str, at: datetime) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="practitioner-{shanghai_date(at)}.{kind}"'}
