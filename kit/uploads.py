"""A file that comes in a form: measured while it arrives, never taken further than it may be long."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.types import Message, Receive

from kit.errors import AppError, InvalidFields

ROOM = 16 * 1024
"""Bytes for what stands around the file in its form: other fields, headers of the parts, boundaries."""


@dataclass(frozen=True)
class Upload:
    """The part `file` of a multipart form, and the form's text fields. The file's name is never looked at."""

    content: bytes
    fields: dict[str, str]


@dataclass(frozen=True)
class Form:
    """The same where nobody had to choose a file."""

    file: bytes | None
    fields: dict[str, str]


async def read_upload(request: Request, limit: int, too_large: Callable[[], AppError]) -> Upload:
    """Read a form. Raises `too_large()` when the file has `limit` bytes or more, as soon as they have arrived.

    Raises 422 without a file or with more than one, and 400 for what is no form.
    """
    form = await read_form(request, limit, lambda _: too_large())
    if form.file is None:
        raise InvalidFields.one("file", "required", "请选择要上传的文件")
    return Upload(form.file, form.fields)


async def read_form(
    request: Request, limit: int, too_large: Callable[[Mapping[str, str]], AppError], *,
    most_fields: int = 8, room: int = ROOM, to_its_end: bool = False,
) -> Form:  # fmt: skip
    """The same for a form that may come without its file, with so many fields that take `room` bytes.

    `too_large` is given the fields that stand before the file: what was typed need not be lost with it. `to_its_end`:
    what is too large is read on, and dropped, for one who does not listen before all is sent.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return Form(None, {})
    measured = Request(request.scope, _measured(request.receive, limit + room, to_its_end)).stream()
    async with aclosing(measured) as stream:
        parser = MultiPartParser(request.headers, stream, max_files=8, max_fields=most_fields, max_part_size=room)
        try:
            form = await parser.parse()
        except _TooMuch as error:
            raise too_large(_texts(parser.items)) from error
        except MultiPartException as error:
            raise HTTPException(400, error.message) from error
    try:
        return await _read(form, limit, too_large)
    finally:
        await form.close()


async def _read(form: FormData, limit: int, too_large: Callable[[Mapping[str, str]], AppError]) -> Form:
    if sum(isinstance(value, UploadFile) for _, value in form.multi_items()) > 1:
        raise InvalidFields.one("file", "too_many", "只能上传一个文件")
    file, fields = form.get("file"), _texts(form.multi_items())
    content = await file.read() if isinstance(file, UploadFile) else None
    if content is not None and len(content) >= limit:
        raise too_large(fields)
    return Form(content, fields)


def _texts(items: Iterable[tuple[str, str | UploadFile]]) -> dict[str, str]:
    return {name: value for name, value in items if isinstance(value, str)}


class _TooMuch(Exception):
    """More has arrived than a form may have."""


def _measured(receive: Receive, most: int, to_its_end: bool) -> Receive:
    arrived = 0

    async def measured() -> Message:
        nonlocal arrived
        message = await receive()
        arrived += len(message.get("body", b""))
        if arrived > most:
            while to_its_end and message.get("more_body"):
                message = await receive()
            raise _TooMuch
        return message

    return measured
