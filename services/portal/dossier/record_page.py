"""The page of one record: its form, conflicting changes, and its scan."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from starlette.responses import Response

from kit.core.errors import AppError, NotFound
from kit.core.ids import is_id, secret_id
from kit.formats.images import MAX_PIXELS, BadImage, is_jpeg, jfif_density, probe
from services.portal.client.backend import Refused
from services.portal.client.models import Attachment, Kind, Record, ScanRules
from services.portal.dossier.contents import Dossier, open_record
from services.portal.dossier.forms import base_of, differences, fields_of, merged, values_of
from services.portal.session.forms import sentence_of
from services.portal.session.page_context import PageContext, Redirect

SCAN_TITLE = "scan_title"
"""The form field for the scan's title; some kinds of record have a field `title` in the same form."""
CORRECTION = "correction"
"""The form field for the id of a corrected scan."""
ORIGINAL = "original"
"""The form field with which a file is uploaded as it is: scan.js sends it if it has offered a better one."""
LONGEST_INCHES = 420 * 1.05 / 25.4
"""The long side of the largest certificate, A3, with a scanner's margin."""


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
    """Upload the chosen scan, or show what can be made of a photo; unsaved changes of the record are kept."""
    try:
        content = context.chosen_file()
        if ORIGINAL not in context.form and breaks_rules(content, await context.portal.catalogue.rules()):
            return await _corrected_page(context, dossier, editing, record, content)
        await _upload(context, record.record_id, content)
    except AppError as error:
        return await _not_uploaded(context, dossier, editing, record, error)
    return await leave(context, editing.kind, record, f"/records/{record.record_id}#attachment")


async def upload_corrected(context: PageContext, dossier: Dossier, editing: Editing, record: Record) -> Response:
    """Upload the scan that was made of a photo."""
    try:
        correction_id = context.form.get(CORRECTION, "")
        if not is_id(correction_id):
            raise NotFound
        await _upload(context, record.record_id, await context.client.corrected_image(correction_id))
    except AppError as error:
        return await _not_uploaded(context, dossier, editing, record, error)
    return await leave(context, editing.kind, record, f"/records/{record.record_id}#attachment")


async def _not_uploaded(
    context: PageContext, dossier: Dossier, editing: Editing, record: Record, error: AppError
) -> Response:
    context.raise_session_errors(error)
    title = context.form.get(SCAN_TITLE, "")
    scan = await scan_of(context, record.record_id, problem=sentence_of(error), title=title)
    return await record_page(context, dossier, replace(editing, status=error.status, scan=scan))


def breaks_rules(content: bytes, rules: ScanRules) -> bool:
    """Whether a file should be corrected, as far as its size and headers show.

    By its density, a photo of a phone may have the size of a door: then that is not the original's either.
    """
    density = jfif_density(content)
    if not is_jpeg(content) or len(content) >= rules.limit_bytes or density is None:
        return True
    least, most = rules.least_dpi - density.room, rules.most_dpi + density.room
    if density.across != density.down or not least <= density.across <= most:
        return True
    try:
        size = probe(content, MAX_PIXELS)
    except BadImage:  # attachments says what is wrong with it
        return False
    return max(size.width / density.across, size.height / density.down) > LONGEST_INCHES


async def _corrected_page(
    context: PageContext, dossier: Dossier, editing: Editing, record: Record, content: bytes
) -> Response:
    """The page that shows what was made of a photo; it contains the whole form, so that nothing typed is lost."""
    correction = await context.client.correct(content)
    form = {name: text for name, text in context.form.items() if name != CORRECTION}
    return context.render(
        "dossier/corrected.html", dossier=dossier, kind=editing.kind, record=record, correction=correction, form=form,
        note=editing.note, unsaved=editing.typed is not None,
    )  # fmt: skip


async def _upload(context: PageContext, record_id: str, content: bytes) -> None:
    """Upload a scan, in place of one that was refused."""
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
