"""The pages of the file: home, and a list for each item of the guide's menu."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from kit.core.errors import NotFound
from services.portal import domain
from services.portal.client.backend import Refused
from services.portal.client.practitioner import PractitionerClient
from services.portal.dossier.contents import file_of, tables_of
from services.portal.session.visits import PageContext, PersonDep

Name = Annotated[str, Path(pattern="^[a-z_]{1,40}$")]
Turned = Annotated[str, Query(max_length=40)]
Number = Annotated[int, Query(ge=1, le=1000)]
router = APIRouter()


@router.get("/")
async def home(visit: PersonDep, note: str = "") -> Response:
    """What wants doing, and all of the menu."""
    return visit.page("dossier/home.html", file=await file_of(visit, "home"), note=note)


@router.get("/file/basic")
async def basic(visit: PersonDep) -> Response:
    """Basic information (guide §5.1)."""
    file = await file_of(visit, "basic")
    return visit.page("dossier/basic.html", file=file, person=await file.own.basic())


@router.get("/portrait")
async def portrait(visit: PersonDep) -> Response:
    """The person's portrait."""
    return await portrait_of(visit, visit.own_file)


async def portrait_of(visit: PageContext, own: PractitionerClient) -> Response:
    """A portrait, or a drawing of nobody where none was taken."""
    try:
        return Response(await own.portrait(), media_type="image/jpeg")
    except Refused as refused:
        if refused.status != 404:
            raise
        return visit.portal.static.answer("nobody.svg", "")


@router.get("/file/{name}")
async def show(visit: PersonDep, name: Name, kind: Turned = "", page: Number = 1, note: str = "") -> Response:
    """The list of an item: one table for each kind of record."""
    item = domain.item_of(name)
    file = await file_of(visit, item.name)
    if not item.kinds or not set(item.kinds) <= file.kinds.keys():
        raise NotFound
    tables = tables_of(file.records, [file.kinds[name] for name in item.kinds], kind, page)
    return visit.page("dossier/list.html", file=file, item=item, tables=tables, note=note)
