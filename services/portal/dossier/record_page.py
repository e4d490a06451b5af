"""The page of one record: its form, conflicting changes, and its scan."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from starlette.responses import Response

from kit.core.errors import AppError, NotFound
from kit.core.ids import secret_id
from services.portal.client.backend import Refused
from services.portal.client.models import Attachment, Kind, Record, ScanRules
from services.portal.dossier.contents import Dossier, open_record
from services.portal.dossier.forms import base_of, differences, fields_of, merged, values_of
from services.portal.session.forms import sentence_of
from services.portal.session.page_context import PageContext, Redirect

SCAN_TITLE = "scan_title"
"""The form field for the scan's title; some kinds of record have a field `title` in the same form."""


@dataclass(frozen=True)
class Scan:
    """A record's scan as its page shows it; `rules` is None if attachments is unavailable."""

    attachment: Attachment | None = None
    rules: ScanRules | None = None
    problem: str = ""
    title: str = ""


@dataclass(frozen=True)
class Editing:
    """The form of a new or existing record, with `typed` values and errors by field.

    `collides`: the record was changed while the form was open.
    """

    kind: Kind
    record: Record | None = None
    typed: Mapping[str, str] | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    status: int = 200
    note: str = ""
    collides: bool = False
    scan: Scan | None = None

    @property
    def values(self) -> Mapping[str, str]:
        """The values of the form."""
        return self.typed if self.typed is not None else values_of(self.record) if self.record else {}


async def record_page(context: PageContext, dossier: Dossier, editing: Editing) -> Response:
    """Render the page; a form that collides is merged with the current record."""
    kind, record = editing.kind, editing.record
    title = editing.values.get(SCAN_TITLE, "")
    scan = editing.scan or (
        await scan_of(context, record.record_id, title=title) if record and kind.attachment else None
    )
    values = merged(kind, editing.values, record) if record and editing.collides else editing.values
    return context.render(
        "dossier/record.html", status=editing.status, dossier=dossier, editing=editing, kind=kind, record=record,
        fields=await fields_of(context.portal.catalogue, kind, values, editing.errors),
        key=values.get("key") or secret_id(), base=base_of(record) if record else "",
        differences=differences(kind, editing.values, record) if record and editing.collides else [],
        scan=scan, titles={one.name: one.title for one in kind.fields},
    )  # fmt: skip


async def scan_of(context: PageContext, record_id: str, problem: str = "", title: str = "") -> Scan:
    """Read the scan from attachments: the record has it only after its event was consumed."""
    try:
        rules = await context.portal.catalogue.rules()
        return Scan(await _attachment(context, record_id), rules, problem, title)
    except AppError as error:
        context.raise_session_errors(error)
        return Scan(problem=problem, title=title)


async def _attachment(context: PageContext, record_id: str) -> Attachment | None:
    try:
        return await context.client.attachment(record_id)
    except Refused as refused:
        if refused.status == 404:
            return None
        raise


async def open_to_edit(context: PageContext, record_id: str, typed: Mapping[str, str]) -> tuple[Record, Dossier]:
    """A record and the dossier. If the record was deleted meanwhile, redirects to a new one with what was typed."""
    try:
        return await open_record(context, record_id)
    except Refused as refused:
        if refused.status != 404 or "kind" not in typed:
            raise
        kind = own_kind(await context.portal.catalogue.kinds(), typed["kind"])
        page = f"/file/{kind.name}/new"
        await context.drop_draft()
        context.carry_over({name: text for name, text in typed.items() if name not in ("key", "base")}, page)
        raise Redirect(f"{page}?note=gone") from refused


async def upload(context: PageContext, dossier: Dossier, editing: Editing, record: Record) -> Response:
    """Upload the chosen scan; unsaved changes of the record are kept as a draft."""
    try:
        await _upload(context, record.record_id)
    except AppError as error:
        context.raise_session_errors(error)
        title = context.form.get(SCAN_TITLE, "")
        scan = await scan_of(context, record.record_id, problem=sentence_of(error), title=title)
        return await record_page(context, dossier, replace(editing, status=error.status, scan=scan))
    return await leave(context, editing.kind, record, f"/records/{record.record_id}#attachment")


async def _upload(context: PageContext, record_id: str) -> None:
    """Upload a scan, in place of one that was refused."""
    content = context.chosen_file()
    before = (await scan_of(context, record_id)).attachment
    if before and before.state == "refused":
        await context.client.delete_attachment(record_id)
    await context.client.upload(record_id, context.form.get(SCAN_TITLE, ""), content)


async def leave(context: PageContext, kind: Kind, record: Record, path: str) -> Response:
    """Redirect to another page; unsaved changes of the record are kept as a draft."""
    if "base" not in context.form or not differences(kind, context.form, record):
        return await context.finish(path)
    context.file = None
    await context.save_draft()
    return context.redirect(path)


def own_kind(kinds: Mapping[str, Kind], name: str) -> Kind:
    """A kind of record that people maintain themselves. Raises `NotFound`."""
    kind = kinds.get(name)
    if kind is None or kind.maintained_by != "practitioner":
        raise NotFound
    return kind
