"""Routes of records, kinds and code tables."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import Field, JsonValue

from contracts.records import Attachment, Source
from kit.core.documents import Entry
from kit.core.errors import AppError, NotFound
from kit.http.callers import ACCESS_REASON, CallerDep
from kit.http.paging import After, Page, write_cursor
from kit.http.quotas import counted
from kit.http.routes import Id, In, Limit, Out, PersonId, StrictRoute
from kit.http.versions import ExpectedVersion, etag
from services.records.code_tables import CODE_TABLES, Code, codes
from services.records.domain import Data, FieldDescription, Kind, MaintainedBy, Record
from services.records.kinds import KINDS
from services.records.service import RecordService, VersionConflict

PUBLIC = {"Cache-Control": "public, max-age=300"}
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]


class KindOut(Out):
    """A kind of record and its fields, for forms."""

    name: str
    title: str
    maintained_by: MaintainedBy
    attachment: bool
    fields: list[FieldDescription]

    @classmethod
    def of(cls, kind: Kind) -> "KindOut":
        """Make it from the kind."""
        return cls(
            name=kind.name,
            title=kind.title,
            maintained_by=kind.maintained_by,
            attachment=kind.attachment,
            fields=kind.fields(),
        )


class RecordOut(Out):
    """A record."""

    record_id: str
    practitioner_id: str
    kind: str
    version: int
    data: Data
    attachment: Attachment | None
    source: Source | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, record: Record) -> "RecordOut":
        """Make it from the document."""
        return cls.model_construct(
            record_id=record.id,
            practitioner_id=record.practitioner_id,
            kind=record.kind,
            version=record.version,
            data=record.data,
            attachment=record.attachment,
            source=record.source,
            created_at=record.created_at,
            updated_at=record.updated_at,
        )


class NewRecord(In):
    """A record to be created; `data` must match the kind's schema."""

    kind: str = Field(max_length=50)
    data: dict[str, JsonValue]


class RecordChange(In):
    """The complete new data."""

    data: dict[str, JsonValue]


def _conflict(conflict: VersionConflict) -> AppError:
    current = RecordOut.of(conflict.current).model_dump(mode="json")
    return AppError(412, "version_conflict", "该记录已被修改，请核对最新内容后再操作", current=current)


async def _service(request: Request) -> RecordService:
    service: RecordService = request.app.state.service
    return service


ServiceDep = Annotated[RecordService, Depends(_service)]
KIND_PAGE = Page[KindOut](items=[KindOut.of(kind) for kind in KINDS.values()])
router = APIRouter(prefix="/api/records", route_class=StrictRoute)  # the busiest routes first: matched in order


@router.get("/practitioners/{practitioner_id}/records", openapi_extra=ACCESS_REASON)
async def list_records(
    service: ServiceDep,
    caller: CallerDep,
    practitioner_id: PersonId,
    after: After,
    kind: str | None = None,
    limit: Limit = 50,
) -> Page[RecordOut]:
    """A person's records, newest first."""
    records, next_cursor = await service.page(caller, practitioner_id, kind, after, limit)
    return Page(items=[RecordOut.of(record) for record in records], next_cursor=write_cursor(next_cursor))


@router.post("/practitioners/{practitioner_id}/records", status_code=201, dependencies=[counted("records")])
async def create_record(
    service: ServiceDep,
    caller: CallerDep,
    practitioner_id: PersonId,
    body: NewRecord,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> RecordOut:
    """Create a record of one's own."""
    record = await service.create(caller, practitioner_id, body.kind, body.data, idempotency_key)
    response.headers["Location"] = f"/api/records/records/{record.id}"
    response.headers["ETag"] = etag(record.version)
    return RecordOut.of(record)


@router.post("/practitioners/{practitioner_id}/records/check", status_code=204, dependencies=[counted("records")])
async def check_record(service: ServiceDep, caller: CallerDep, practitioner_id: PersonId, body: NewRecord) -> None:
    """Validate data without storing them, for a form that has an error of its own: all errors are reported at once."""
    await service.check(caller, practitioner_id, body.kind, body.data)


@router.get("/records/{record_id}", openapi_extra=ACCESS_REASON)
async def get_record(service: ServiceDep, caller: CallerDep, record_id: Id, response: Response) -> RecordOut:
    """One record; its version is the ETag."""
    record = await service.get(caller, record_id)
    response.headers["ETag"] = etag(record.version)
    return RecordOut.of(record)


@router.put("/records/{record_id}", dependencies=[counted("records")])
async def change_record(
    service: ServiceDep,
    caller: CallerDep,
    record_id: Id,
    body: RecordChange,
    version: ExpectedVersion,
    response: Response,
) -> RecordOut:
    """Replace a record's data; `If-Match` names the version that is replaced."""
    try:
        record = await service.change(caller, record_id, version, body.data)
    except VersionConflict as conflict:
        raise _conflict(conflict) from conflict
    response.headers["ETag"] = etag(record.version)
    return RecordOut.of(record)


@router.delete("/records/{record_id}", status_code=204, dependencies=[counted("records")])
async def delete_record(service: ServiceDep, caller: CallerDep, record_id: Id, version: ExpectedVersion) -> None:
    """Delete a record; `If-Match` names the version that is deleted."""
    try:
        await service.delete(caller, record_id, version)
    except VersionConflict as conflict:
        raise _conflict(conflict) from conflict


@router.get("/records/{record_id}/history", openapi_extra=ACCESS_REASON)
async def get_history(service: ServiceDep, caller: CallerDep, record_id: Id) -> Page[Entry]:
    """The versions of a record: when, by whom, what changed."""
    record = await service.get(caller, record_id)
    return Page(items=record.history)


@router.get("/kinds")
async def list_kinds(response: Response) -> Page[KindOut]:
    """The kinds of record, in the order of the guide's menu."""
    response.headers.update(PUBLIC)
    return KIND_PAGE


@router.get("/kinds/{kind}/schema")
async def get_schema(kind: str, response: Response) -> Mapping[str, object]:
    """The JSON Schema (2020-12) of a kind's data."""
    if kind not in KINDS:
        raise NotFound
    response.headers.update(PUBLIC)
    return KINDS[kind].schema()


@router.get("/code-tables/{name}")
async def list_codes(name: str, response: Response) -> Page[Code]:
    """The terms of a code table."""
    if name not in CODE_TABLES:
        raise NotFound
    response.headers.update(PUBLIC)
    return Page(items=list(codes(name)))
