"""Multipart forms and their file, which is measured while it arrives and never read beyond its limit."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.types import Message, Receive

from kit.core.errors import AppError, BodyTooLarge, InvalidFields, Overloaded
from kit.observability import metrics

M = TypeVar("M", bound=BaseModel)
ROOM = 16 * 1024
"""Bytes for the rest of a form beside its file: other fields, headers of the parts, boundaries."""
Admit = Callable[[Mapping[str, str]], Awaitable[int]]
"""The size limit of a file, from the fields that come before it; raises to refuse the form before it is read."""


@dataclass(frozen=True)
class Upload:
    """The part `file` of a multipart form, and the form's text fields. The file's name is ignored."""

    content: bytes
    fields: dict[str, str]

    def parse(self, form: type[M]) -> M:
        """The text fields as this model. Raises `InvalidFields`."""
        try:
            return form.model_validate(self.fields)
        except ValidationError as error:
            raise InvalidFields.of(error) from error


@dataclass(frozen=True)
class UploadForm:
    """A form in which the file may be left out. With a `refusal` the file was not kept."""

    file: bytes | None
    fields: dict[str, str]
    refusal: AppError | None = None


@dataclass
class Spool:
    """Room for the files that a process is receiving, in all requests: first in memory, then in /tmp."""

    files: int
    bytes: int

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """A function that reserves more bytes, or raises `Overloaded`; at the end all are released."""
        taken, begun = 0, False

        def take(size: int) -> None:
            nonlocal taken, begun
            if size > self.bytes or (not begun and not self.files):
                metrics.requests_aborted.labels("spool").inc()
                raise Overloaded
            self.files -= not begun
            self.bytes -= size
            taken, begun = taken + size, True

        try:
            yield take
        finally:
            self.files += begun
            self.bytes += taken


def upload_body(file: str, fields: Mapping[str, object] | None = None) -> dict[str, object]:
    """The `openapi_extra` of a route that calls `read_upload`: what the file is, and schemas of the text fields."""
    properties = {"file": {"type": "string", "format": "binary", "description": file}, **(fields or {})}
    schema = {"type": "object", "required": [*properties], "additionalProperties": False, "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


async def read_upload(request: Request, limit: int, too_large: Callable[[], AppError]) -> Upload:
    """Read a form. Raises `too_large()` when the file has `limit` bytes or more, as soon as they have arrived.

    Raises 422 without a file or with more than one, 400 for a malformed form, and `Overloaded`.
    """
    form = await read_form(request, limit, too_large)
    if form.file is None:
        raise InvalidFields.one("file", "required", "请选择要上传的文件")
    return Upload(form.file, form.fields)


async def read_form(
    request: Request, limit: int, too_large: Callable[[], AppError], *,
    most_fields: int = 8, room: int = ROOM, admit: Admit | None = None,
) -> UploadForm:  # fmt: skip
    """The same for a form whose file is optional, with at most `most_fields` fields that take `room` bytes.

    `admit` is called when a file begins, before more of it is read. With it, a form whose file is refused is read to
    its end: browsers read no response before they have sent everything, and the text fields are not lost.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return UploadForm(None, {})
    with request.app.state.spool.share() as take:
        parser = _Parser(request, limit, too_large, take, most_fields, room, admit)
        try:
            form = await parser.parse()
        except MultiPartException as error:
            raise HTTPException(400, error.message) from error
        finally:
            await parser.stream.aclose()
        try:
            return await _read(form, parser.refusal)
        finally:
            await form.close()


async def read_fields(request: Request, most_fields: int, most_bytes: int) -> dict[str, str]:
    """The fields of a form without a file; empty for a body that is not a form. Raises 413, 400."""
    if int(request.headers.get("content-length") or 0) > most_bytes:
        raise BodyTooLarge
    measured = Request(request.scope, _at_most(request.receive, most_bytes))
    form = await measured.form(max_files=0, max_fields=most_fields, max_part_size=most_bytes)
    return _texts(form.multi_items())


async def _read(form: FormData, refusal: AppError | None) -> UploadForm:
    if sum(isinstance(value, UploadFile) for _, value in form.multi_items()) > 1:
        raise InvalidFields.one("file", "too_many", "只能上传一个文件")
    file = form.get("file")
    content = await file.read() if isinstance(file, UploadFile) and not refusal else None
    return UploadForm(content, _texts(form.multi_items()), refusal)


def _texts(items: Iterable[tuple[str, str | UploadFile]]) -> dict[str, str]:
    return {name: value for name, value in items if isinstance(value, str)}


class _Parser(MultiPartParser):
    """Measures what it reads; a file beyond its limit is discarded, or ends the form."""

    def __init__(
        self, request: Request, limit: int, too_large: Callable[[], AppError], take: Callable[[int], None],
        most_fields: int, room: int, admit: Admit | None,
    ) -> None:  # fmt: skip
        self.stream = Request(request.scope, self._measured).stream()
        super().__init__(request.headers, self.stream, max_files=8, max_fields=most_fields, max_part_size=room)
        self.refusal: AppError | None = None
        self._receive = request.receive
        self._too_large = too_large
        self._take = take
        self._admit = admit
        self._most, self._room = limit, room
        self._arrived = self._of_files = 0
        self._asks = admit is not None

    async def _measured(self) -> Message:
        if self._asks and self._files_to_close_on_error and self._admit:
            self._asks = False
            self._most = await self._admit(_texts(self.items))
        if self._arrived - self._of_files > self._room:
            raise BodyTooLarge
        message = await self._receive()
        self._arrived += len(message.get("body", b""))
        return message

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Store the data, of a file only within its limit."""
        if self._current_part.file is not None:
            self._of_files += end - start
            self.refusal = self.refusal or self._refused(end - start)
        if self._current_part.file is None or self.refusal is None:
            super().on_part_data(data, start, end)
        elif self._admit is None:
            raise self.refusal

    def _refused(self, size: int) -> AppError | None:
        if self._of_files >= self._most:
            return self._too_large()
        try:
            self._take(size)
        except Overloaded as busy:
            return busy
        return None


def _at_most(receive: Receive, most: int) -> Receive:
    arrived = 0

    async def measured() -> Message:
        nonlocal arrived
        message = await receive()
        arrived += len(message.get("body", b""))
        if arrived > most:
            raise BodyTooLarge
        return message

    return measured
