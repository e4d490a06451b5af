"""Uploads: refused while they arrive, and never read beyond their limit."""

from collections.abc import Mapping

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from kit.core.errors import AppError, BodyTooLarge, InvalidFields, NotFound, Overloaded
from kit.http.uploads import ROOM, Admit, Spool, Upload, read_fields, read_form, read_upload

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
    """Sends a body in pieces, and counts the pieces read."""

    def __init__(self, body: bytes, piece: int = 8_192) -> None:
        self.pieces = [body[at : at + piece] for at in range(0, len(body), piece)]
        self.taken = 0

    async def receive(self) -> Message:
        piece = self.pieces[self.taken]
        self.taken += 1
        return {"type": "http.request", "body": piece, "more_body": self.taken < len(self.pieces)}

    def request(
        self, kind: bytes = b"multipart/form-data; boundary=" + BOUNDARY, spool: Spool | None = None
    ) -> Request:
        app = Starlette()
        app.state.spool = spool or Spool(files=8, bytes=100 * LIMIT)
        return Request(
            {"type": "http", "method": "POST", "headers": [(b"content-type", kind)], "app": app}, self.receive
        )


async def test_the_file_and_the_fields_arrive_as_sent() -> None:
    body = Body(form(b"\x00\xff\r\n--" * 900, more=field(b"title", "证书".encode())))
    assert await read_upload(body.request(), LIMIT, TooLarge) == Upload(b"\x00\xff\r\n--" * 900, {"title": "证书"})


@pytest.mark.parametrize(("size", "taken"), [(LIMIT - 1, True), (LIMIT, False), (LIMIT + ROOM, False)])
async def test_a_file_of_exactly_the_limit_is_too_large(size: int, taken: bool) -> None:
    body = Body(form(b"x" * size))
    if taken:
        assert len((await read_upload(body.request(), LIMIT, TooLarge)).content) == size
    else:
        with pytest.raises(TooLarge):
            await read_upload(body.request(), LIMIT, TooLarge)


async def test_a_file_far_beyond_the_limit_is_not_read_to_its_end() -> None:
    body = Body(form(b"x" * 50 * LIMIT))
    with pytest.raises(TooLarge):
        await read_upload(body.request(), LIMIT, TooLarge)
    assert body.taken <= (LIMIT + ROOM) // 8_192 + 1


async def test_a_browser_upload_is_read_to_its_end_and_no_field_is_lost() -> None:
    for size in (LIMIT, 50 * LIMIT):
        body = Body(field(b"title", "证书".encode()) + form(b"x" * size, more=field(b"note", b"behind")))
        read = await read_form(body.request(), LIMIT, TooLarge, admit=admitting(LIMIT))
        assert (read.file, read.fields) == (None, {"title": "证书", "note": "behind"})
        assert isinstance(read.refusal, TooLarge)
        assert body.taken == len(body.pieces)


def admitting(most: int) -> Admit:
    async def admit(_fields: Mapping[str, str]) -> int:
        return most

    return admit


async def test_the_caller_is_checked_before_more_of_the_file_is_read() -> None:
    asked: list[Mapping[str, str]] = []

    async def admit(fields: Mapping[str, str]) -> int:
        asked.append(fields)
        raise NotFound

    body = Body(field(b"csrf", b"token") + form(b"x" * 50 * LIMIT))
    with pytest.raises(NotFound):
        await read_form(body.request(), LIMIT, TooLarge, admit=admit)
    assert (asked, body.taken) == ([{"csrf": "token"}], 1)


async def test_no_more_of_a_file_is_kept_than_is_admitted() -> None:
    for size, kept in ((19_999, True), (20_000, False)):
        read = await read_form(Body(form(b"x" * size)).request(), LIMIT, TooLarge, admit=admitting(20_000))
        assert (read.file is not None) is kept


async def test_concurrent_uploads_share_a_spool_that_is_released() -> None:
    spool = Spool(files=1, bytes=LIMIT)
    for _ in range(3):
        await read_upload(Body(form(b"x" * (LIMIT - 1))).request(spool=spool), LIMIT, TooLarge)
    with spool.share() as take:
        take(1)
        with pytest.raises(Overloaded):
            await read_upload(Body(form(b"x")).request(spool=spool), LIMIT, TooLarge)
    assert spool == Spool(files=1, bytes=LIMIT)
    spool.bytes = 50_000
    with pytest.raises(Overloaded):
        await read_upload(Body(form(b"x" * 60_000)).request(spool=spool), LIMIT, TooLarge)
    assert spool == Spool(files=1, bytes=50_000)


async def test_bytes_around_a_file_count_towards_the_limit() -> None:
    for extra in (
        b"--%s\r\nX-Long: %s" % (BOUNDARY, b"x" * 10 * LIMIT),
        b"--%s--\r\n%s" % (BOUNDARY, b"x" * 10 * LIMIT),
    ):
        body = Body(form(b"x").replace(b"--%s--\r\n" % BOUNDARY, extra))
        with pytest.raises((BodyTooLarge, HTTPException)):
            await read_upload(body.request(), LIMIT, TooLarge)
        assert body.taken < 10


async def test_a_form_without_files_is_measured_as_it_arrives() -> None:
    kind = b"application/x-www-form-urlencoded"
    assert await read_fields(Body(b"a=1&b=%E5%9B%BE").request(kind), 8, LIMIT) == {"a": "1", "b": "图"}
    body = Body(b"a=" + b"x" * 50 * LIMIT)
    with pytest.raises(BodyTooLarge):
        await read_fields(body.request(kind), 8, LIMIT)
    assert body.taken <= LIMIT // 8_192 + 1


async def test_a_form_without_a_file_is_refused() -> None:
    for body in (form(b"x", name=b"other"), b"--%s--\r\n" % BOUNDARY):
        with pytest.raises(InvalidFields):
            await read_upload(Body(body).request(), LIMIT, TooLarge)
    with pytest.raises(InvalidFields):
        await read_upload(Body(b"file=text").request(b"application/x-www-form-urlencoded"), LIMIT, TooLarge)


async def test_a_form_may_come_without_its_file_and_with_more_fields() -> None:
    fields = b"".join(field(b"f%d" % number, b"x" * 2_000) for number in range(20))
    read = await read_form(
        Body(fields + b"--%s--\r\n" % BOUNDARY).request(), LIMIT, TooLarge, most_fields=20, room=64 * 1024
    )
    assert (read.file, len(read.fields)) == (None, 20)
    with pytest.raises(HTTPException):
        await read_form(Body(fields + b"--%s--\r\n" % BOUNDARY).request(), LIMIT, TooLarge)


async def test_a_form_with_two_files_is_refused_whatever_their_names() -> None:
    for name in (b"file", b"other"):
        second = form(b"y", name=name).partition(b"\r\n")[2].rpartition(b"--%s" % BOUNDARY)[0]
        with pytest.raises(InvalidFields) as caught:
            await read_upload(Body(form(b"x", more=b"--%s\r\n%s" % (BOUNDARY, second))).request(), LIMIT, TooLarge)
        assert caught.value.marshal()["errors"][0]["code"] == "too_many"
