"""What a person may know of their own account: where they are logged in, who looked, all their data."""

import asyncio
import json
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from kit.clock import shanghai_date
from kit.http import Id
from services.portal.files import file_of
from services.portal.printing import document
from services.portal.visits import PersonDep

Cursor = Annotated[str, Query(max_length=200)]
router = APIRouter()


@router.get("/account/sessions")
async def sessions(visit: PersonDep, note: str = "") -> Response:
    """Where the person is logged in."""
    file = await file_of(visit, "sessions")
    return visit.page("practitioner/sessions.html", file=file, sessions=await file.own.sessions(), note=note)


@router.get("/account/sessions/{session_id}/end")
async def back(visit: PersonDep, session_id: Id) -> Response:
    """Where that form stands."""
    return visit.go("/account/sessions")


@router.post("/account/sessions/{session_id}/end")
async def end(visit: PersonDep, session_id: Id) -> Response:
    """Log out on another device."""
    await visit.own_file.end_session(session_id)
    return visit.go("/account/sessions?note=ended")


@router.get("/account/looks")
async def looks(visit: PersonDep, cursor: Cursor = "") -> Response:
    """Who looked at the person's file, and why."""
    file = await file_of(visit, "looks")
    return visit.page("practitioner/looks.html", file=file, looks=await file.own.looks(cursor))


@router.get("/account/download")
async def download(visit: PersonDep) -> Response:
    """In which forms the data may be had."""
    return visit.page("practitioner/download.html", file=await file_of(visit, "download"))


@router.get("/account/download.json")
async def download_json(visit: PersonDep) -> Response:
    """All the person's data, as the services keep them."""
    now = visit.portal.clock.now()
    everything = {"made_at": now.isoformat(), **await visit.own_file.everything()}
    return _download(json.dumps(everything, ensure_ascii=False, indent=2), "json", now)


@router.get("/account/download.pdf")
async def download_pdf(visit: PersonDep) -> Response:
    """The same for reading and printing."""
    file, now = await file_of(visit), visit.portal.clock.now()
    person, sessions, looks = await asyncio.gather(file.own.basic(), file.own.sessions(), file.own.all_looks())
    return _download(await visit.portal.printer.pdf(document(person, file, sessions, looks, now), now), "pdf", now)


def _download(content: str | bytes, kind: str, at: datetime) -> Response:
    name = f'attachment; filename="practitioner-{shanghai_date(at)}.{kind}"'
    return Response(content, media_type=f"application/{kind}", headers={"Content-Disposition": name})
