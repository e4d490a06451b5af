"""Add, edit and delete a record: nothing that was typed is lost, and nobody's change is overwritten unseen."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from kit.core.errors import AppError, FieldError, InvalidFields
from kit.core.ids import secret_id
from kit.http.routes import Id
from services.portal.client.answers import Kind, Record, Value
from services.portal.client.backend import Refused
from services.portal.domain import item_of
from services.portal.dossier.contents import Dossier, file_of, opened
from services.portal.dossier.editing import Editing, opened_to_edit, own_kind, record_page, upload
from services.portal.dossier.forms import base_of, data_of, open_errors
from services.portal.session.forms import errors_of
from services.portal.session.visits import PageContext, PersonDep

KindName = Annotated[str, Path(pattern="^[a-z_]{1,40}$")]
AGAIN = "您刚才已经保存过一条。再次保存将会新增一条，请先到列表中核对"
CHANGED = "该记录在您填写期间已被修改，请核对后再保存"
router = APIRouter()


@router.get("/file/{name}/new")
async def new(visit: PersonDep, name: KindName, note: str = "") -> Response:
    """An empty form, or what was typed into it and not saved."""
    file = await file_of(visit, item_of(name).name)
    draft = await visit.draft()
    kind = own_kind(file.kinds, name)
    return await record_page(visit, file, Editing(kind, typed=draft, note=note))


@router.post("/file/{name}/new")
async def add(visit: PersonDep, name: KindName) -> Response:
    """Save a new record; its scan follows on its own page."""
    file = await file_of(visit, item_of(name).name)
    kind, form = own_kind(file.kinds, name), visit.form
    try:
        record = await file.own.add(name, await _data(file, kind, form), form.get("key") or secret_id())
    except AppError as error:
        return await _not_saved(visit, file, Editing(kind, None, form), error)
    own = f"/records/{record.record_id}?note=added"
    return await visit.done(own if kind.attachment else f"{_list(record)}?note=saved")


async def _data(file: Dossier, kind: Kind, form: Mapping[str, str]) -> Mapping[str, Value]:
    """What a form says. Raises 422 with all that is wrong when the form itself is unclear: records is asked too."""
    data, unclear = data_of(kind, form), open_errors(kind, form)
    if unclear:
        raise InvalidFields([*await _refusals(file, kind, data), *unclear])
    return data


async def _refusals(file: Dossier, kind: Kind, data: Mapping[str, Value]) -> list[FieldError]:
    try:
        await file.own.check(kind.name, data)
    except Refused as refused:
        if refused.status != 422:
            raise
        return refused.fields
    return []


def _list(record: Record) -> str:
    return item_of(record.kind).path


async def _not_saved(visit: PageContext, file: Dossier, editing: Editing, error: AppError) -> Response:
    """The form again, with what was typed and why it was not saved."""
    visit.still_there(error)
    again = error.code == "idempotency_conflict"
    typed = {name: value for name, value in visit.form.items() if not (again and name == "key")}
    problem = AGAIN if again else str(error.detail)
    refused = Editing(editing.kind, editing.record, typed, errors_of(error), problem, error.status)
    return await record_page(visit, file, refused)


@router.get("/records/{record_id}")
async def edit(visit: PersonDep, record_id: Id, note: str = "") -> Response:
    """The form of a record, and its scan."""
    draft = await visit.draft()
    record, file = await opened_to_edit(visit, record_id, draft or {})
    if file.kinds[record.kind].maintained_by != "practitioner":
        return visit.go(_list(record))
    collides = draft is not None and draft.get("base") != base_of(record)
    editing = Editing(
        file.kinds[record.kind], record, draft, problem=CHANGED if collides else "", collides=collides,
        note=note,
    )  # fmt: skip
    return await record_page(visit, file, editing)


@router.post("/records/{record_id}")
async def change(visit: PersonDep, record_id: Id) -> Response:
    """Save a record's form, unless somebody else changed the record since it was opened; then the scan beside it."""
    record, file = await opened_to_edit(visit, record_id, visit.form)
    kind, form = own_kind(file.kinds, record.kind), visit.form
    if form.get("base") != base_of(record):
        return await record_page(visit, file, Editing(kind, record, form, {}, CHANGED, 409, collides=True))
    try:
        saved = await file.own.change(record_id, record.version, await _data(file, kind, form))
    except AppError as error:
        if current := _current(error):
            return await record_page(visit, file, Editing(kind, current, form, {}, CHANGED, 409, collides=True))
        return await _not_saved(visit, file, Editing(kind, record, form), error)
    await visit.forget_draft()
    if visit.file:
        return await upload(visit, file, Editing(kind, saved, note="saved"), saved)
    return visit.go(f"{_list(record)}?note=saved")


def _current(error: AppError) -> Record | None:
    """The record as it is now, when it was changed in this very moment."""
    if isinstance(error, Refused) and "current" in error.answer:
        return Record.model_validate(error.answer["current"])
    return None


@router.get("/records/{record_id}/delete")
async def ask_to_delete(visit: PersonDep, record_id: Id) -> Response:
    """Are you sure."""
    record, file = await opened(visit, record_id)
    return _delete_page(visit, file, record)


def _delete_page(visit: PageContext, file: Dossier, record: Record, problem: str = "") -> Response:
    return visit.page(
        "dossier/delete.html", status=409 if problem else 200, file=file, record=record,
        kind=own_kind(file.kinds, record.kind), back=_list(record), problem=problem, base=base_of(record),
    )  # fmt: skip


@router.post("/records/{record_id}/delete")
async def delete(visit: PersonDep, record_id: Id) -> Response:
    """Delete a record that is still as it was shown."""
    record, file = await opened(visit, record_id)
    if visit.form.get("base") != base_of(record):
        return _delete_page(visit, file, record, CHANGED)
    try:
        await file.own.delete(record_id, record.version)
    except AppError as error:
        if current := _current(error):
            return _delete_page(visit, file, current, CHANGED)
        raise
    return visit.go(f"{_list(record)}?note=deleted")
