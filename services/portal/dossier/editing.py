"""The page of one record: its form, what somebody else changed meanwhile, and its scan."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from starlette.responses import Response

from kit.core.errors import AppError, NotFound
from kit.core.ids import secret_id
from services.portal.client.answers import Attachment, Kind, Record, ScanRules
from services.portal.client.backend import Refused
from services.portal.dossier.contents import Dossier, opened
from services.portal.dossier.forms import base_of, differences, fields_of, merged, values_of
from services.portal.session.forms import sentence_of
from services.portal.session.visits import PageContext, Redirect

SCAN_TITLE = "scan_title"
"""In the form that a record and its scan share, where some kinds have a `title` of their own."""


@dataclass(frozen=True)
class Scan:
    """A record's scan as its page shows it; without `rules` when attachments is away."""

    attachment: Attachment | None = None
    rules: ScanRules | None = None
    problem: str = ""
    title: str = ""


@dataclass(frozen=True)
class Editing:
    """A form at work: of a new record or of one that is there, with what was typed and what is wrong with it."""

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
        """What stands in the form."""
        return self.typed if self.typed is not None else values_of(self.record) if self.record else {}


async def record_page(visit: PageContext, file: Dossier, editing: Editing) -> Response:
    """The page; a form that collides goes on from the record as it is now."""
    kind, record = editing.kind, editing.record
    title = editing.values.get(SCAN_TITLE, "")
    scan = editing.scan or (await scan_of(visit, record.record_id, title=title) if record and kind.attachment else None)
    values = merged(kind, editing.values, record) if record and editing.collides else editing.values
    return visit.page(
        "dossier/record.html", status=editing.status, file=file, editing=editing, kind=kind, record=record,
        fields=await fields_of(visit.portal.catalogue, kind, values, editing.errors),
        key=values.get("key") or secret_id(), base=base_of(record) if record else "",
        differences=differences(kind, editing.values, record) if record and editing.collides else [],
        scan=scan, titles={one.name: one.title for one in kind.fields},
    )  # fmt: skip


async def scan_of(visit: PageContext, record_id: str, problem: str = "", title: str = "") -> Scan:
    """Asked of attachments itself: the record learns of its scan a little later."""
    try:
        rules = await visit.portal.catalogue.rules()
        return Scan(await _attachment(visit, record_id), rules, problem, title)
    except AppError as error:
        visit.still_there(error)
        return Scan(problem=problem, title=title)


async def _attachment(visit: PageContext, record_id: str) -> Attachment | None:
    try:
        return await visit.own_file.attachment(record_id)
    except Refused as refused:
        if refused.status == 404:
            return None
        raise


async def opened_to_edit(visit: PageContext, record_id: str, typed: Mapping[str, str]) -> tuple[Record, Dossier]:
    """A record and the file. Where it was deleted while somebody typed, a new one begins with what was typed."""
    try:
        return await opened(visit, record_id)
    except Refused as refused:
        if refused.status != 404 or "kind" not in typed:
            raise
        kind = own_kind(await visit.portal.catalogue.kinds(), typed["kind"])
        page = f"/file/{kind.name}/new"
        await visit.forget_draft()
        visit.carry({name: text for name, text in typed.items() if name not in ("key", "base")}, page)
        raise Redirect(f"{page}?note=gone") from refused


async def upload(visit: PageContext, file: Dossier, editing: Editing, record: Record) -> Response:
    """Hand in the scan that was chosen; what is not saved of the record's form waits on its page."""
    try:
        await _hand_in(visit, record.record_id)
    except AppError as error:
        visit.still_there(error)
        title = visit.form.get(SCAN_TITLE, "")
        scan = await scan_of(visit, record.record_id, problem=sentence_of(error), title=title)
        return await record_page(visit, file, replace(editing, status=error.status, scan=scan))
    return await leave(visit, editing.kind, record, f"/records/{record.record_id}#attachment")


async def _hand_in(visit: PageContext, record_id: str) -> None:
    """A scan that was refused makes room for it."""
    content = visit.chosen_file()
    before = (await scan_of(visit, record_id)).attachment
    if before and before.state == "refused":
        await visit.own_file.delete_attachment(record_id)
    await visit.own_file.upload(record_id, visit.form.get(SCAN_TITLE, ""), content)


async def leave(visit: PageContext, kind: Kind, record: Record, path: str) -> Response:
    """On to another page; what is not saved of the record's form waits on its own."""
    if "base" not in visit.form or not differences(kind, visit.form, record):
        return await visit.done(path)
    visit.file = None
    await visit.keep_draft()
    return visit.go(path)


def own_kind(kinds: Mapping[str, Kind], name: str) -> Kind:
    """A kind of record that people keep themselves. Raises `NotFound`."""
    kind = kinds.get(name)
    if kind is None or kind.maintained_by != "practitioner":
        raise NotFound
    return kind
