"""A person at the window, as they see themselves: asked for a reason first, and nothing can be changed."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from kit.core.errors import InvalidFields, NotFound, NotYours
from kit.http.routes import Id
from services.portal import domain
from services.portal.dossier.contents import signature_of, tables_of
from services.portal.pages.dossier.home import Name, Number, Turned, portrait_of
from services.portal.pages.dossier.signature import MEDIA_TYPES
from services.portal.session.forms import errors_of
from services.portal.session.visits import PageContext, own_path
from services.portal.window.attending import OTHER, REASONS, AttendedDep, ClerkDep, attend, chosen_reason

Next = Annotated[str, Query(max_length=500)]
router = APIRouter()


@router.get("/staff/people/{person}/reason")
async def ask(visit: ClerkDep, person: Id, next: Next = "") -> Response:  # noqa: A002  # the word in the address
    """Why the clerk looks."""
    usual = REASONS[0] if "note=" in next else ""
    return _reason_page(visit, person, await visit.draft() or {"next": next, "reason": usual})


def _reason_page(
    visit: PageContext, person: str, values: dict[str, str], error: InvalidFields | None = None
) -> Response:
    errors = errors_of(error) if error else {}
    return visit.page(
        "window/reason.html", status=error.status if error else 200, person=person, values=values, reasons=REASONS,
        other=OTHER, errors=errors, problem=next(iter(errors.values()), ""),
    )  # fmt: skip


@router.post("/staff/people/{person}/reason")
async def give(visit: ClerkDep, person: Id) -> Response:
    """From now on this reason is told with every look at this person."""
    try:
        reason = chosen_reason(visit.form)
    except InvalidFields as error:
        return _reason_page(visit, person, visit.form, error)
    await attend(visit, person, reason)
    own = f"/staff/people/{person}"
    path = own_path(visit.form.get("next", ""))
    return await visit.done(path if path.startswith(own) else own)


@router.get("/staff/people/{person}")
async def show(visit: ClerkDep, who: AttendedDep, note: str = "") -> Response:
    """Basic information and the certificate."""
    return visit.page(
        "window/person.html", who=who, here="basic", person=await who.file.basic(),
        certificate=await who.file.certificate(), note=note,
    )  # fmt: skip


@router.get("/staff/people/{person}/portrait")
async def portrait(visit: ClerkDep, who: AttendedDep) -> Response:
    """Their portrait."""
    return await portrait_of(visit, who.file)


@router.get("/staff/people/{person}/file/signature")
async def signature(visit: ClerkDep, who: AttendedDep) -> Response:
    """How far their signature is."""
    return visit.page("window/signature.html", who=who, here="signature", signature=await signature_of(who.file))


@router.get("/staff/people/{person}/file/signature/{which}")
async def signature_picture(visit: ClerkDep, who: AttendedDep, which: Literal["scan", "image"]) -> Response:
    """The accepted page, or the signature alone."""
    return Response(await who.file.signature_picture(which), media_type=MEDIA_TYPES[which])


@router.get("/staff/people/{person}/file/{name}")
async def records(visit: ClerkDep, who: AttendedDep, name: Name, kind: Turned = "", page: Number = 1) -> Response:
    """The list of an item."""
    item, kinds = domain.item_of(name), await visit.portal.catalogue.kinds()
    if not item.kinds or not set(item.kinds) <= kinds.keys():
        raise NotFound
    found = await who.file.records()
    tables = tables_of(found, [kinds[name] for name in item.kinds], kind, page)
    return visit.page("window/records.html", who=who, here=item.name, item=item, tables=tables)


@router.get("/staff/people/{person}/attachments/{attachment_id}/{which}")
async def picture(
    visit: ClerkDep, who: AttendedDep, attachment_id: Id, which: Literal["image", "thumbnail"]
) -> Response:
    """A scan of one of their records: nobody else's is read for this person's reason."""
    own = [record.attachment.attachment_id for record in await who.file.records() if record.attachment]
    if attachment_id not in own:
        raise NotYours
    return Response(await who.file.picture(attachment_id, which), media_type="image/jpeg")
