"""Uploads: refused while they arrive, and never taken further than they may be long."""

from collections.abc import Mapping

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from kit.errors import AppError, InvalidFields
from kit.uploads import ROOM, Upload, read_form, read_upload

LIMIT = 100_000
BOUNDARY = b"b0undary"


class TooLarge(AppError):
    def __init__(self) -> None:
        super().__init__(413, "file_too_large", "文件过大")


def form(content: bytes, *, name: bytes = b"file", more: bytes = b"") -> bytes:
    head = b'Content-Disposition: form-data; name="%s"; filename="../x"\r\n\r\n' % name
    return b"--%s\r\n%s%s\r\n%s--%s--\r\n" % (BOUNDARY, head, content, more, BOUNDARY)


def field(name: bytes, value: bytes) -> bytes:
    return b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (BOUNDARY, name, value)


class Body:
    """Sends a body in pieces, and counts what was asked for."""

    def __init__(self, body: bytes, piece: int = 8_192) -> None:
        self.pieces = [body[at : at + piece] for at in range(0, len(body), piece)]
        self.taken = 0

    async def receive(self) -> Message:
        piece = self.pieces[self.taken]
        self.taken += 1
        return {"type": "http.request", "body": piece, "more_body": self.taken < len(self.pieces)}

    def request(self, kind: bytes = b"multipart/form-data; boundary=" + BOUNDARY) -> Request:
        scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind)], "app": None}
        return Request(scope, self.receive)


async def test_the_file_and_the_fields_come_as_they_were_sent() -> None:
    body = Body(form(b"\x00\xff\r\n--" * 900, more=field(b"title", "证书".encode())))
    assert await read_upload(body.request(), LIMIT, TooLarge) == Upload(b"\x00\xff\r\n--" * 900, {"title": "证书"})


@pytest.mark.parametrize(("size", "taken"), [(LIMIT - 1, True), (LIMIT, False), (LIMIT + ROOM, False)])
async def test_the_limit_itself_is_too_large(size: int, taken: bool) -> None:
    body = Body(form(b"x" * size))
    if taken:
        assert len((await read_upload(body.request(), LIMIT, TooLarge)).content) == size
    else:
        with pytest.raises(TooLarge):
            await read_upload(body.request(), LIMIT, TooLarge)


async def test_what_is_far_too_large_is_not_read_to_its_end() -> None:
    body = Body(form(b"x" * 50 * LIMIT))
    with pytest.raises(TooLarge):
        await read_upload(body.request(), LIMIT, TooLarge)
    assert body.taken <= (LIMIT + ROOM) // 8_192 + 1


async def test_the_fields_before_a_file_that_is_too_large_are_told() -> None:
    fields = field(b"title", "证书".encode()) + field(b"note", b"")
    told: list[Mapping[str, str]] = []

    def too_large(fields: Mapping[str, str]) -> AppError:
        told.append(fields)
        return TooLarge()

    for size in (LIMIT, 50 * LIMIT):
        with pytest.raises(TooLarge):
            await read_form(Body(fields + form(b"x" * size)).request(), LIMIT, too_large)
    assert told == [{"title": "证书", "note": ""}] * 2


async def test_a_browser_is_listened_to_until_it_has_sent_all() -> None:
    body = Body(form(b"x" * 50 * LIMIT))
    with pytest.raises(TooLarge):
        await read_form(body.request(), LIMIT, lambda _: TooLarge(), to_its_end=True)
    assert body.taken == len(body.pieces)


async def test_a_form_without_a_file_says_so() -> None:
    for body in (form(b"x", name=b"other"), b"--%s--\r\n" % BOUNDARY):
        with pytest.raises(InvalidFields):
            await read_upload(Body(body).request(), LIMIT, TooLarge)
    with pytest.raises(InvalidFields):
        await read_upload(Body(b"file=text").request(b"application/x-www-form-urlencoded"), LIMIT, TooLarge)


async def test_a_form_may_come_without_its_file_and_with_more_fields() -> None:
    fields = b"".join(field(b"f%d" % number, b"x" * 2_000) for number in range(20))
    read = await read_form(
        Body(fields + b"--%s--\r\n" % BOUNDARY).request(), LIMIT, lambda _: TooLarge(), most_fields=20, room=64 * 1024
    )
    assert (read.file, len(read.fields)) == (None, 20)
    with pytest.raises(HTTPException):
        await read_form(Body(fields + b"--%s--\r\n" % BOUNDARY).request(), LIMIT, lambda _: TooLarge())


async def test_a_form_with_two_files_says_so_whatever_they_are_called() -> None:
    for name in (b"file", b"other"):
        second = form(b"y", name=name).partition(b"\r\n")[2].rpartition(b"--%s" % BOUNDARY)[0]
        with pytest.raises(InvalidFields) as caught:
            await read_upload(Body(form(b"x", more=b"--%s\r\n%s" % (BOUNDARY, second))).request(), LIMIT, TooLarge)
        assert caught.value.marshal()["errors"][0]["code"] == "too_many"
