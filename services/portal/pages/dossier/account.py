"""What a person may know of their own account: where they are logged in, who looked, all their data."""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response, StreamingResponse

from kit.core.clock import shanghai_date
from kit.http.routes import Id
from services.portal.dossier.contents import Dossier, file_of
from services.portal.dossier.export_zip import ExportImage, export_zip, images_of
from services.portal.dossier.printing import document
from services.portal.session.visits import PageContext, PersonDep

Cursor = Annotated[str, Query(max_length=200)]
router = APIRouter()


@router.get("/account/sessions")
async def sessions(visit: PersonDep, note: str = "") -> Response:
    """Where the person is logged in."""
    file = await file_of(visit, "sessions")
    return visit.page("dossier/sessions.html", file=file, sessions=await file.own.sessions(), note=note)


@router.get("/account/sessions/{session_id}/end")
async def back(visit: PersonDep, session_id: Id) -> Response:
    """Where that form stands."""
    return visit.go("/account/sessions")


@router.post("/account/sessions/{session_id}/end")
async def end(visit: PersonDep, session_id: Id) -> Response:
    """Log out on another device."""
    await visit.own_file.end_session(session_id)
    return visit.go("/account/sessions?note=ended")


@router.get("/account/sessions/end")
async def back_to_all(visit: PersonDep) -> Response:
    """Where that form stands."""
    return visit.go("/account/sessions")


@router.post("/account/sessions/end")
async def end_others(visit: PersonDep) -> Response:
    """Log out on all other devices, and forget them."""
    await visit.own_file.end_other_sessions()
    return visit.go("/account/sessions?note=ended_others")


@router.get("/account/looks")
async def looks(visit: PersonDep, cursor: Cursor = "") -> Response:
    """Who looked at the person's file, and why."""
    file = await file_of(visit, "looks")
    return visit.page("dossier/looks.html", file=file, looks=await file.own.looks(cursor))


def _proved(visit: PersonDep) -> PageContext:
    visit.require_fresh("/account/download")
    return visit


ProvedDep = Annotated[PageContext, Depends(_proved)]
"""A practitioner who proved a short while ago who they are."""


async def _exporting(visit: ProvedDep) -> PageContext:
    if visit.session:
        await visit.portal.quotas.admit("exports", visit.session.kind, visit.session.subject)
    return visit


ExportingDep = Annotated[PageContext, Depends(_exporting)]
"""The same, who has some of their quota of exports left."""


@router.get("/account/download")
async def download(visit: ProvedDep) -> Response:
    """In which forms the data may be had."""
    return visit.page("dossier/download.html", file=await file_of(visit, "download"))


@router.get("/account/download.zip")
async def download_zip(visit: ExportingDep) -> Response:
    """Everything: data, document and pictures."""
    file, now = await file_of(visit), visit.portal.clock.now()
    pictures = images_of(file)
    texts = {"data.json": await _json(visit, now, pictures), "practitioner.pdf": await _pdf(visit, file, now)}
    pieces = export_zip(texts, pictures, visit.lasting_file, now)
    return StreamingResponse(pieces, headers=_named("zip", now), media_type="application/zip")


@router.get("/account/download.json")
async def download_json(visit: ExportingDep) -> Response:
    """All the person's data, as the services keep them."""
    now = visit.portal.clock.now()
    return Response(await _json(visit, now), headers=_named("json", now), media_type="application/json")


@router.get("/account/download.pdf")
async def download_pdf(visit: ExportingDep) -> Response:
    """The same for reading and printing."""
    file, now = await file_of(visit), visit.portal.clock.now()
    return Response(await _pdf(visit, file, now), headers=_named("pdf", now), media_type="application/pdf")


async def _json(visit: PageContext, at: datetime, pictures: Sequence[ExportImage] = ()) -> bytes:
    told = {"made_at": at.isoformat(), **await visit.own_file.everything()}
    if pictures:
        told["pictures"] = {picture.path: picture.id for picture in pictures}
    return json.dumps(told, ensure_ascii=False, indent=2).encode()


async def _pdf(visit: PageContext, file: Dossier, at: datetime) -> bytes:
    own = file.own
    known = await asyncio.gather(own.basic(), own.certificate(), own.sessions(), own.all_looks())
    return await visit.portal.printer.pdf_apart(document(file, *known, at), at)


def _named(kind: str, at: datetime) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="practitioner-{shanghai_date(at)}.{kind}"'}
