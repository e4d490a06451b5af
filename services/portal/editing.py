"""The page of one record: its form, what somebody else changed meanwhile, and its scan."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.responses import Response

from kit.errors import AppError, NotFound
from kit.ids import secret_id
from services.portal.answers import Attachment, Kind, Record
from services.portal.files import File
from services.portal.forms import differences, fields_of, fingerprint, values_of
from services.portal.own_file import OwnFile
from services.portal.visits import Visit


@dataclass(frozen=True)
class Scan:
    """A record's scan as its page shows it; `away` when nobody knows at the moment."""

    attachment: Attachment | None = None
    away: bool = False
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
    scan = editing.scan or (await scan_of(file.own, record.record_id) if record and kind.attachment else None)
    return visit.page(
        "practitioner/record.html", status=editing.status, file=file, editing=editing, kind=kind, record=record,
        fields=await fields_of(visit.portal.catalogue, kind, editing.values, editing.errors),
        key=editing.values.get("key") or secret_id(), base=fingerprint(record) if record else "",
        differences=differences(kind, editing.values, record) if record and editing.collides else [],
        scan=scan, rules=await visit.portal.catalogue.rules() if kind.attachment else None,
        titles={one.name: one.title for one in kind.fields},
    )  # fmt: skip


async def scan_of(own: OwnFile, record_id: str, problem: str = "", title: str = "") -> Scan:
    """Asked of attachments itself: the record learns of its scan a little later."""
    try:
        return Scan(await own.attachment(record_id), problem=problem, title=title)
    except AppError as error:
        return Scan(away=error.status != 404, problem=problem, title=title)


def own_kind(kinds: Mapping[str, Kind], name: str) -> Kind:
    """A kind of record that people keep themselves. Raises `NotFound`."""
    kind = kinds.get(name)
    if kind is None or kind.maintained_by != "practitioner":
        raise NotFound
    return kind
