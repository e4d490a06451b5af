"""A file that comes in a form: measured while it arrives, never taken further than it may be long."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import UploadFile
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
    form = await read_form(request, limit, too_large)
    if form.file is None:
        raise InvalidFields.one("file", "required", "请选择要上传的文件")
    return Upload(form.file, form.fields)


async def read_form(
    request: Request, limit: int, too_large: Callable[[], AppError], *, most_fields: int = 8, room: int = ROOM
) -> Form:
    """The same for a form that may come without its file, with so many fields that take `room` bytes."""
    measured = Request(request.scope, _measured(request.receive, limit + room, too_large))
    async with measured.form(max_files=8, max_fields=most_fields, max_part_size=room) as form:
        if sum(isinstance(value, UploadFile) for _, value in form.multi_items()) > 1:
            raise InvalidFields.one("file", "too_many", "只能上传一个文件")
        file = form.get("file")
        content = await file.read() if isinstance(file, UploadFile) else None
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
    if content is not None and len(content) >= limit:
        raise too_large()
    return Form(content, fields)


def _measured(receive: Receive, most: int, too_large: Callable[[], AppError]) -> Receive:
    arrived = 0

    async def measured() -> Message:
        nonlocal arrived
        message = await receive()
        arrived += len(message.get("body", b""))
        if arrived > most:
            raise too_large()
        return message

    return measured
