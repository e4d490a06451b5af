"""Pages of the dossier: home, and a list for each item of the menu."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from kit.core.errors import NotFound
from services.portal import domain
from services.portal.client.backend import Refused
from services.portal.client.practitioner import PractitionerClient
from services.portal.dossier.contents import disputes_of, dossier_of, tables_of
from services.portal.session.page_context import PageContext, PersonDep

Name = Annotated[str, Path(pattern="^[a-z_]{1,40}$")]
Turned = Annotated[str, Query(max_length=40)]
Number = Annotated[int, Query(ge=1, le=1000)]
router = APIRouter()


@router.get("/")
async def home(context: PersonDep, note: str = "") -> Response:
    """To-dos, and all items of the menu."""
    return context.render("dossier/home.html", dossier=await dossier_of(context, "home"), note=note)


@router.get("/file/basic")
async def basic(context: PersonDep) -> Response:
    """Basic information (guide §5.1)."""
    dossier = await dossier_of(context, "basic")
    return context.render("dossier/basic.html", dossier=dossier, person=await dossier.client.basic())


@router.get("/portrait")
async def portrait(context: PersonDep) -> Response:
    """The person's portrait."""
    return await portrait_of(context, context.client)


async def portrait_of(context: PageContext, client: PractitionerClient) -> Response:
    """The portrait, or a silhouette if there is none."""
    try:
        return Response(await client.portrait(), media_type="image/jpeg")
    except Refused as refused:
        if refused.status != 404:
            raise
        return context.portal.static.answer("silhouette.svg", "")


@router.get("/file/{name}")
async def show(context: PersonDep, name: Name, kind: Turned = "", page: Number = 1, note: str = "") -> Response:
    """The list of an item: a table for each kind of record."""
    item = domain.item_of(name)
    dossier = await dossier_of(context, item.name)
    if not item.kinds or not set(item.kinds) <= dossier.kinds.keys():
        raise NotFound
    kinds = [dossier.kinds[name] for name in item.kinds]
    tables, disputes = tables_of(dossier.records, kinds, kind, page), await disputes_of(dossier.client, kinds)
    return context.render("dossier/list.html", dossier=dossier, item=item, tables=tables, disputes=disputes, note=note)
