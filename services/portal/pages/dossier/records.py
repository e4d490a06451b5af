"""Add, edit and delete a record. Typed text is never lost, concurrent changes are never overwritten unseen."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from kit.core.errors import AppError, FieldError, InvalidFields
from kit.core.ids import secret_id
from kit.http.routes import Id
from services.portal.client.backend import Refused
from services.portal.client.models import Kind, Record, Value
from services.portal.domain import item_of
from services.portal.dossier.contents import Dossier, dossier_of, open_record
from services.portal.dossier.forms import base_of, data_of, open_errors
from services.portal.dossier.record_page import Editing, open_to_edit, own_kind, record_page, upload
from services.portal.session.forms import errors_of
from services.portal.session.page_context import PageContext, PersonDep

KindName = Annotated[str, Path(pattern="^[a-z_]{1,40}$")]
AGAIN = "您刚才已经保存过一条。再次保存将会新增一条，请先到列表中核对"
CHANGED = "该记录在您填写期间已被修改，请核对后再保存"
router = APIRouter()


@router.get("/file/{name}/new")
async def new(context: PersonDep, name: KindName, note: str = "") -> Response:
    """An empty form, or its draft."""
    dossier = await dossier_of(context, item_of(name).name)
    draft = await context.load_draft()
    kind = own_kind(dossier.kinds, name)
    return await record_page(context, dossier, Editing(kind, typed=draft, note=note))


@router.post("/file/{name}/new")
async def add(context: PersonDep, name: KindName) -> Response:
    """Save a new record; its scan is uploaded on the record's page."""
    dossier = await dossier_of(context, item_of(name).name)
    kind, form = own_kind(dossier.kinds, name), context.form
    try:
        record = await dossier.client.add(name, await _data(dossier, kind, form), form.get("key") or secret_id())
    except AppError as error:
        return await _not_saved(context, dossier, Editing(kind, None, form), error)
    path = f"/records/{record.record_id}?note=added"
    return await context.finish(path if kind.attachment else f"{_list(record)}?note=saved")


async def _data(dossier: Dossier, kind: Kind, form: Mapping[str, str]) -> Mapping[str, Value]:
    """A record's data from a form. If the form is contradictory, raises 422 with these errors and those of records."""
    data = data_of(kind, form)
    contradictions = open_errors(kind, form)
    if contradictions:
        raise InvalidFields([*await _refusals(dossier, kind, data), *contradictions])
    return data


async def _refusals(dossier: Dossier, kind: Kind, data: Mapping[str, Value]) -> list[FieldError]:
    try:
        await dossier.client.check(kind.name, data)
    except Refused as refused:
        if refused.status != 422:
            raise
        return refused.fields
    return []


def _list(record: Record) -> str:
    return item_of(record.kind).path


async def _not_saved(context: PageContext, dossier: Dossier, editing: Editing, error: AppError) -> Response:
    """The form with what was typed and why it was not saved."""
    context.raise_session_errors(error)
    repeated = error.code == "idempotency_conflict"
    typed = {name: value for name, value in context.form.items() if not (repeated and name == "key")}
    problem = AGAIN if repeated else str(error.detail)
    refused = Editing(editing.kind, editing.record, typed, errors_of(error), problem, error.status)
    return await record_page(context, dossier, refused)


@router.get("/records/{record_id}")
async def edit(context: PersonDep, record_id: Id, note: str = "") -> Response:
    """The form of a record, and its scan."""
    draft = await context.load_draft()
    record, dossier = await open_to_edit(context, record_id, draft or {})
    if dossier.kinds[record.kind].maintained_by != "practitioner":
        return context.redirect(_list(record))
    collides = draft is not None and draft.get("base") != base_of(record)
    editing = Editing(
        dossier.kinds[record.kind], record, draft, problem=CHANGED if collides else "", collides=collides,
        note=note,
    )  # fmt: skip
    return await record_page(context, dossier, editing)


@router.post("/records/{record_id}")
async def change(context: PersonDep, record_id: Id) -> Response:
    """Save a record unless it was changed since the form was opened; then upload the scan in the same form."""
    record, dossier = await open_to_edit(context, record_id, context.form)
    kind, form = own_kind(dossier.kinds, record.kind), context.form
    if form.get("base") != base_of(record):
        return await record_page(context, dossier, Editing(kind, record, form, {}, CHANGED, 409, collides=True))
    try:
        saved = await dossier.client.change(record_id, record.version, await _data(dossier, kind, form))
    except AppError as error:
        if current := _current(error):
            return await record_page(context, dossier, Editing(kind, current, form, {}, CHANGED, 409, collides=True))
        return await _not_saved(context, dossier, Editing(kind, record, form), error)
    await context.drop_draft()
    if context.file:
        return await upload(context, dossier, Editing(kind, saved, note="saved"), saved)
    return context.redirect(f"{_list(record)}?note=saved")


def _current(error: AppError) -> Record | None:
    """The current record, if it was changed during this request."""
    if isinstance(error, Refused) and "current" in error.answer:
        return Record.model_validate(error.answer["current"])
    return None


@router.get("/records/{record_id}/delete")
async def ask_to_delete(context: PersonDep, record_id: Id) -> Response:
    """Ask for confirmation."""
    record, dossier = await open_record(context, record_id)
    return _delete_page(context, dossier, record)


def _delete_page(context: PageContext, dossier: Dossier, record: Record, problem: str = "") -> Response:
    return context.render(
        "dossier/delete.html", status=409 if problem else 200, dossier=dossier, record=record,
        kind=own_kind(dossier.kinds, record.kind), back=_list(record), problem=problem, base=base_of(record),
    )  # fmt: skip


@router.post("/records/{record_id}/delete")
async def delete(context: PersonDep, record_id: Id) -> Response:
    """Delete a record unless it was changed since it was shown."""
    record, dossier = await open_record(context, record_id)
    if context.form.get("base") != base_of(record):
        return _delete_page(context, dossier, record, CHANGED)
    try:
        await dossier.client.delete(record_id, record.version)
    except AppError as error:
        if current := _current(error):
            return _delete_page(context, dossier, current, CHANGED)
        raise
    return context.redirect(f"{_list(record)}?note=deleted")
