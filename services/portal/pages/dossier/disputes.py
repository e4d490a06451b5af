"""信息有误: whom to turn to about a record of a source, the form of a dispute, and what became of it."""

from collections.abc import Mapping

from fastapi import APIRouter
from starlette.responses import Response

from kit.core.errors import AppError, NotFound
from kit.core.ids import secret_id
from kit.http.routes import Id
from services.portal.client.models import Record
from services.portal.domain import item_of
from services.portal.dossier.contents import Dossier, open_record
from services.portal.session.forms import errors_of
from services.portal.session.page_context import PageContext, PersonDep

AGAIN = "您刚才已经提交过异议。需要再次提交的，请先核对下面的处理情况"
router = APIRouter()


@router.get("/records/{record_id}/dispute")
async def show(context: PersonDep, record_id: Id) -> Response:
    """The record, its disputes, and the form of a new one unless one is open."""
    record, dossier = await open_record(context, record_id)
    return await _page(context, dossier, record, await context.load_draft() or {})


async def _page(
    context: PageContext, dossier: Dossier, record: Record, values: Mapping[str, str], error: AppError | None = None
) -> Response:
    kind = dossier.kinds[record.kind]
    if kind.maintained_by != "source":
        raise NotFound
    disputes = [one for one in await dossier.client.disputes() if one.record_id == record.record_id]
    repeated = error is not None and error.code == "idempotency_conflict"
    key = secret_id() if repeated else values.get("key") or secret_id()
    return context.render(
        "dossier/dispute.html", status=error.status if error else 200, dossier=dossier, record=record, kind=kind,
        disputes=disputes, back=item_of(kind.name).path, values=values, key=key,
        errors=errors_of(error) if error else {}, problem=AGAIN if repeated else str(error.detail) if error else "",
    )  # fmt: skip


@router.post("/records/{record_id}/dispute")
async def dispute(context: PersonDep, record_id: Id) -> Response:
    """Open a dispute."""
    record, dossier = await open_record(context, record_id)
    form = context.form
    try:
        await dossier.client.dispute(record_id, form.get("text", ""), form.get("key") or secret_id())
    except AppError as error:
        context.raise_session_errors(error)
        return await _page(context, dossier, record, form, error)
    return await context.finish(f"{item_of(record.kind).path}?note=disputed")
