"""The page of one record: its form, what somebody else changed meanwhile, and its scan."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.responses import Response

from kit.errors import AppError, NotFound
from kit.ids import secret_id
from services.portal.answers import Attachment, Kind, Record, ScanRules
from services.portal.backend import Refused
from services.portal.files import File
from services.portal.forms import differences, fields_of, fingerprint, values_of
from services.portal.visits import Visit


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


async def record_page(visit: Visit, file: File, editing: Editing) -> Response:
    """The page; a form that collides goes on from the record as it is now."""
    kind, record = editing.kind, editing.record
    scan = editing.scan or (await scan_of(visit, record.record_id) if record and kind.attachment else None)
    return visit.page(
        "practitioner/record.html", status=editing.status, file=file, editing=editing, kind=kind, record=record,
        fields=await fields_of(visit.portal.catalogue, kind, editing.values, editing.errors),
        key=editing.values.get("key") or secret_id(), base=fingerprint(record) if record else "",
        differences=differences(kind, editing.values, record) if record and editing.collides else [],
        scan=scan, titles={one.name: one.title for one in kind.fields},
    )  # fmt: skip


async def scan_of(visit: Visit, record_id: str, problem: str = "", title: str = "") -> Scan:
    """Asked of attachments itself: the record learns of its scan a little later."""
    try:
        rules = await visit.portal.catalogue.rules()
        return Scan(await _attachment(visit, record_id), rules, problem, title)
    except AppError as error:
        visit.still_there(error)
        return Scan(problem=problem, title=title)


async def _attachment(visit: Visit, record_id: str) -> Attachment | None:
    try:
        return await visit.own_file.attachment(record_id)
    except Refused as refused:
        if refused.status == 404:
            return None
        raise


def own_kind(kinds: Mapping[str, Kind], name: str) -> Kind:
    """A kind of record that people keep themselves. Raises `NotFound`."""
    kind = kinds.get(name)
    if kind is None or kind.maintained_by != "practitioner":
        raise NotFound
    return kind
