"""A person's dossier at the window, read-only; an access reason is required first."""

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
from services.portal.session.page_context import PageContext, own_path
from services.portal.window.attended_person import OTHER, REASONS, AttendedDep, ClerkDep, attend, chosen_reason

Next = Annotated[str, Query(max_length=500)]
router = APIRouter()


@router.get("/staff/people/{person}/reason")
async def ask(context: ClerkDep, person: Id, next: Next = "") -> Response:  # noqa: A002  # the word in the address
    """The form for the access reason."""
    usual = REASONS[0] if "note=" in next else ""
    return _reason_page(context, person, await context.load_draft() or {"next": next, "reason": usual})


def _reason_page(
    context: PageContext, person: str, values: dict[str, str], error: InvalidFields | None = None
) -> Response:
    errors = errors_of(error) if error else {}
    return context.render(
        "window/reason.html", status=error.status if error else 200, person=person, values=values, reasons=REASONS,
        other=OTHER, errors=errors, problem=next(iter(errors.values()), ""),
    )  # fmt: skip


@router.post("/staff/people/{person}/reason")
async def give(context: ClerkDep, person: Id) -> Response:
    """Set the access reason for this person and session."""
    try:
        reason = chosen_reason(context.form)
    except InvalidFields as error:
        return _reason_page(context, person, context.form, error)
    await attend(context, person, reason)
    person_path = f"/staff/people/{person}"
    path = own_path(context.form.get("next", ""))
    return await context.finish(path if path.startswith(person_path) else person_path)


@router.get("/staff/people/{person}")
async def show(context: ClerkDep, attended: AttendedDep, note: str = "") -> Response:
    """Basic information and the certificate."""
    return context.render(
        "window/person.html", attended=attended, current="basic", person=await attended.client.basic(),
        certificate=await attended.client.certificate(), note=note,
    )  # fmt: skip


@router.get("/staff/people/{person}/portrait")
async def portrait(context: ClerkDep, attended: AttendedDep) -> Response:
    """Their portrait."""
    return await portrait_of(context, attended.client)


@router.get("/staff/people/{person}/file/signature")
async def signature(context: ClerkDep, attended: AttendedDep) -> Response:
    """The state of their signature."""
    return context.render(
        "window/signature.html", attended=attended, current="signature", signature=await signature_of(attended.client)
    )


@router.get("/staff/people/{person}/file/signature/{which}")
async def signature_image(context: ClerkDep, attended: AttendedDep, which: Literal["scan", "image"]) -> Response:
    """The accepted sheet, or the signature alone."""
    return Response(await attended.client.signature_image(which), media_type=MEDIA_TYPES[which])


@router.get("/staff/people/{person}/file/{name}")
async def records(
    context: ClerkDep, attended: AttendedDep, name: Name, kind: Turned = "", page: Number = 1
) -> Response:
    """The list of an item."""
    item, kinds = domain.item_of(name), await context.portal.catalogue.kinds()
    if not item.kinds or not set(item.kinds) <= kinds.keys():
        raise NotFound
    found = await attended.client.records()
    tables = tables_of(found, [kinds[name] for name in item.kinds], kind, page)
    return context.render("window/records.html", attended=attended, current=item.name, item=item, tables=tables)


@router.get("/staff/people/{person}/attachments/{attachment_id}/{which}")
async def scan_image(
    context: ClerkDep, attended: AttendedDep, attachment_id: Id, which: Literal["image", "thumbnail"]
) -> Response:
    """A scan of one of their records. Raises `NotYours` for one of another person, to whom the reason doesn't apply."""
    own = [record.attachment.attachment_id for record in await attended.client.records() if record.attachment]
    if attachment_id not in own:
        raise NotYours
    return Response(await attended.client.scan_image(attachment_id, which), media_type="image/jpeg")
