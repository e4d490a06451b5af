"""The routes of imports, shared by services: upload a file, read its progress and its errors."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from kit.core.clock import Clock
from kit.core.errors import AppError, NotFound, NotYours
from kit.formats.tabular import LIMITS, BadTable, Tables, template_csv, template_xlsx
from kit.http.admission import Priority
from kit.http.callers import CallerDep
from kit.http.request_limits import Allowance
from kit.http.routes import Id, Out, StrictRoute
from kit.http.uploads import read_upload, upload_body
from kit.imports.model import Column, Import, ImportFiles, Imports, State, of_kind, recognised, refusal
from kit.security.tokens import ADMIN, Caller

LIMIT_BYTES = 20 * 1024 * 1024
ROUTE_BYTES = 100 * 1000 * 1000  # as much as the gateway accepts: the call itself refuses, and explains it
READ_SECONDS = LIMITS.seconds + 30
"""The caller waits while a large workbook is read."""
CSV, XLSX = "text/csv; charset=utf-8", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
FORM = upload_body("CSV (UTF-8, GB 18030) or XLSX, < 20 MiB")


class StartedOut(Out):
    """An accepted import."""

    import_id: str


class ImportOut(Out):
    """The progress of an import."""

    import_id: str
    kind: str
    state: State
    rows_total: int
    rows_done: int
    rows_created: int
    rows_updated: int
    rows_unchanged: int
    rows_failed: int
    started_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, job: Import) -> "ImportOut":
        """From the document."""
        return cls.model_validate({**job.model_dump(), "import_id": job.id, "started_at": job.created_at})


class ImportDependencies:
    """What the routes need. API clients with `scope` import and see their own imports, admins see all.

    `columns`: what a service imports, by kind.
    """

    def __init__(
        self, columns: Mapping[str, Sequence[Column]], scope: str, imports: Imports, files: ImportFiles, tables: Tables,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._columns = columns
        self._scope = scope
        self._imports = imports
        self._files = files
        self._tables, self._clock = tables, clock

    def admit(self, caller: Caller, kind: str) -> Sequence[Column]:
        """The columns that the caller may send, before a byte is read. Raises 403, `NotFound`."""
        caller.require(role=ADMIN, scope=self._scope)
        return of_kind(self._columns, kind)

    async def start(self, caller: Caller, kind: str, content: bytes) -> Import:
        """Read and store a file, then the document that names it. Raises 422 if the file cannot be imported."""
        columns = self.admit(caller, kind)
        try:
            table = await self._tables.read(content)
        except BadTable as bad:
            raise refusal(bad) from bad
        names, at = recognised(columns, table.header), self._clock.now()
        job = Import.started(kind, names, table.rows, at=at, by=caller.label)
        await self._files.keep(job.folder, table.content)
        await self._imports.insert(job)
        return job

    async def find(self, caller: Caller, import_id: str) -> Import:
        """The import. Raises 403, `NotFound`, `NotYours`."""
        caller.require(role=ADMIN, scope=self._scope)
        job = await self._imports.get(import_id)
        if job is None:
            raise NotFound
        if job.started_by != caller.label and not caller.may(role=ADMIN):
            raise NotYours
        return job

    def template(self, kind: str, form: Literal["csv", "xlsx"]) -> bytes:
        """An empty file to fill in. Raises `NotFound`."""
        columns = of_kind(self._columns, kind)
        titles = [column.title for column in columns]
        if form == "csv":
            return template_csv(titles)
        notes = [(column.title, "必填" if column.required else "选填", column.hint) for column in columns]
        return template_xlsx(titles, [("列", "是否必填", "说明"), *notes])

    def errors(self, job: Import) -> StreamingResponse:
        """The errors found so far, as CSV."""
        headers = {"Content-Disposition": 'attachment; filename="errors.csv"'}
        return StreamingResponse(self._files.errors(job), media_type=CSV, headers=headers)


def _too_large() -> AppError:
    return AppError(413, "file_too_large", f"文件必须小于 {LIMIT_BYTES // 1024**2}MB，请拆分后分别上传")


async def _dependencies(request: Request) -> ImportDependencies:
    imports: ImportDependencies = request.app.state.imports
    return imports


ImportsDep = Annotated[ImportDependencies, Depends(_dependencies)]
ERRORS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {}}}}
WORKBOOK: dict[int | str, dict[str, Any]] = {200: {"content": {XLSX: {}}}}
router = APIRouter(route_class=StrictRoute, max_body_size=ROUTE_BYTES)


@router.post("/imports/{kind}", status_code=202, openapi_extra=FORM)
async def start_import(
    imports: ImportsDep, caller: CallerDep, kind: str, request: Request, response: Response
) -> StartedOut:
    """Upload a file of rows; progress and errors are at the address in `Location`."""
    imports.admit(caller, kind)
    upload = await read_upload(request, LIMIT_BYTES, _too_large)
    job = await imports.start(caller, kind, upload.content)
    response.headers["Location"] = f"{request.url.path.rpartition('/')[0]}/{job.id}"
    return StartedOut(import_id=job.id)


@router.get("/imports/{kind}/template.csv", response_class=Response, responses=ERRORS)
async def get_csv_template(imports: ImportsDep, kind: str) -> Response:
    """An empty file to fill in, in UTF-8."""
    return _file(imports.template(kind, "csv"), CSV, "template.csv")


@router.get("/imports/{kind}/template.xlsx", response_class=Response, responses=WORKBOOK)
async def get_xlsx_template(imports: ImportsDep, kind: str) -> Response:
    """An empty workbook to fill in, with a sheet of instructions."""
    return _file(imports.template(kind, "xlsx"), XLSX, "template.xlsx")


@router.get("/imports/{import_id}")
async def get_import(imports: ImportsDep, caller: CallerDep, import_id: Id) -> ImportOut:
    """The progress of an import."""
    return ImportOut.of(await imports.find(caller, import_id))


@router.get("/imports/{import_id}/errors.csv", response_class=StreamingResponse, responses=ERRORS)
async def get_import_errors(imports: ImportsDep, caller: CallerDep, import_id: Id) -> StreamingResponse:
    """The errors by line and column; while the import runs, those found so far."""
    return imports.errors(await imports.find(caller, import_id))


def _file(content: bytes, media_type: str, name: str) -> Response:
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def add_imports(app: FastAPI, prefix: str, imports: ImportDependencies) -> None:
    """Add the routes at `<prefix>/imports`."""
    app.state.imports = imports
    app.state.allowances[f"{prefix}/imports/"] = Allowance(ROUTE_BYTES, READ_SECONDS)
    app.state.priorities[f"{prefix}/imports/"] = Priority.SHEDDABLE
    app.include_router(router, prefix=prefix)
