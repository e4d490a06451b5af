"""Each rule of a scan broken once, and the message that the practitioner gets."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from PIL import Image, ImageDraw

from services.attachments.domain import WITH_SCAN
from tests.attachments.conftest import ATTACHMENTS, Uploader
from tests.support.people import EDUCATION
from tests.support.problems import CHINESE, fields_of, problem
from tests.support.scans import certificate, padded, pixels, scan

LIMIT = 300 * 1024


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def huge() -> bytes:
    content = scan(72)
    frame = content.index(b"\xff\xc0")
    return content[: frame + 5] + b"\xff\xdc\xff\xdc" + content[frame + 9 :]


def blank() -> bytes:
    return scan(page=Image.new("RGB", pixels(300), (246, 244, 238)))


def stamp() -> Image.Image:
    """A page with one small stamp only."""
    page = Image.new("RGB", pixels(300), (246, 244, 238))
    ImageDraw.Draw(page).ellipse((1600, 2400, 1850, 2650), outline=(200, 40, 40), width=14)
    return page


def in_centimetres(dpi: int, dots: int) -> bytes:
    """A density as written by a scanner that counts in whole dots per centimetre."""
    content = scan(dpi)
    at = content.index(b"JFIF\x00") + 7
    return content[:at] + b"\x02\x00%c\x00%c" % (dots, dots) + content[at + 5 :]


REFUSED: dict[str, Callable[[], bytes]] = {
    "density_out_of_range": lambda: scan(150, quality=40),
    "density_out_of_range 71": lambda: scan(72, density=(71, 71)),
    "density_out_of_range 101": lambda: scan(100, density=(101, 101)),
    "density_out_of_range 27 a cm": lambda: in_centimetres(72, 27),
    "density_out_of_range 40 a cm": lambda: in_centimetres(100, 40),
    "density_unequal": lambda: scan(100, density=(100, 72)),
    "blank": blank,
    "damaged": lambda: half(scan()),
    "too_many_pixels": huge,
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_broken_rule_has_its_code_and_a_message_with_the_remedy(uploader: Uploader, name: str) -> None:
    verdict, code = await uploader.judged(REFUSED[name]()), name.partition(" ")[0]
    assert (verdict["state"], [reason["code"] for reason in verdict["reasons"]]) == ("refused", [code])
    assert CHINESE.search(verdict["reasons"][0]["message"])
    assert "请" in verdict["reasons"][0]["message"]


async def test_a_blank_page_is_refused_and_a_page_with_one_stamp_is_not(uploader: Uploader) -> None:
    [reason] = (await uploader.judged(blank()))["reasons"]
    assert "没有找到文字、印章或图案" in reason["message"]


WARNED: dict[str, Callable[[], bytes]] = {
    "density_missing": lambda: scan(density=(0, 0)),
    "size_implausible": lambda: scan(200, density=(72, 72), quality=20),
    "nearly_blank": lambda: scan(page=stamp()),
    "too_dark": lambda: scan(dark=0.25),
    "blurred": lambda: scan(blur=5),
}


@pytest.mark.parametrize("code", WARNED)
async def test_a_doubtful_scan_is_accepted_with_a_warning(uploader: Uploader, code: str) -> None:
    verdict = await uploader.judged(WARNED[code]())
    assert (verdict["state"], verdict["reasons"]) == ("accepted", [])
    assert [warning["code"] for warning in verdict["warnings"]] == [code]
    assert CHINESE.search(verdict["warnings"][0]["message"])


async def test_an_implausible_density_gets_a_warning_with_the_resulting_size(
    uploader: Uploader,
) -> None:
    """Many phones write this density into every photo; this one was reduced by quality only."""
    verdict = await uploader.judged(
        scan(page=certificate(8).resize((3000, 4000)), paper=(1058, 1411), dpi=72, quality=5)
    )
    [warning] = verdict["warnings"]
    assert warning["code"] == "size_implausible"
    assert "按注明的 72dpi 原件有 1058×1411 毫米" in warning["message"]


FINE: dict[str, Callable[[], bytes]] = {
    "72 dpi": lambda: scan(72),
    "100 dpi": lambda: scan(100),
    "28 dots a centimetre: 72 dpi": lambda: in_centimetres(72, 28),
    "39 dots a centimetre: 100 dpi": lambda: in_centimetres(100, 39),
    "grey": lambda: scan(100, page=certificate().convert("L").convert("RGB")),
    "progressive": lambda: scan(100, progressive=True),
    "square": lambda: scan(paper=(200, 200)),
    "landscape": lambda: scan(paper=(297, 210)),
}


@pytest.mark.parametrize("name", FINE)
async def test_good_scans_are_accepted_without_warnings(uploader: Uploader, name: str) -> None:
    verdict = await uploader.judged(FINE[name]())
    assert (verdict["state"], verdict["reasons"], verdict["warnings"]) == ("accepted", [], [])


async def test_one_byte_below_the_limit_is_accepted_and_the_limit_is_not(uploader: Uploader) -> None:
    record_id = await uploader.record()
    for size in (LIMIT, LIMIT + 1, LIMIT + 20_000, 5 * LIMIT, 30 * LIMIT, 80 * LIMIT):
        problem(await uploader.send(record_id, padded(scan(72), size)), 413, "file_too_large")
    assert len(padded(scan(72), LIMIT - 1)) == LIMIT - 1
    assert (await uploader.sent(record_id, padded(scan(72), LIMIT - 1)))["size"] == LIMIT - 1
    assert (await uploader.verdict(record_id))["state"] == "accepted"


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n" * 9, b"<svg/>", b"\xff\xd8"])
async def test_a_file_that_is_not_a_jpeg_is_refused_whatever_its_name(uploader: Uploader, content: bytes) -> None:
    record_id = await uploader.record()
    problem(await uploader.send(record_id, content, name="scan.jpg", type="image/jpeg"), 415, "not_jpeg")
    problem(await uploader.look(record_id), 404, "not_found")


async def test_a_hostile_file_name_is_not_stored(uploader: Uploader) -> None:
    record_id = await uploader.record()
    name = '../../etc/"; \r\nSet-Cookie: a=b; <script>.php'
    sent = await uploader.send(record_id, scan(72), name=name, type="text/html")
    assert sent.status_code == 202
    await uploader.verdict(record_id)
    shown = await uploader.file(sent.json()["attachment_id"])
    assert (shown.status_code, shown.headers["Content-Type"]) == (200, "image/jpeg")
    assert "script" not in str(shown.headers)


@pytest.mark.parametrize(
    ("title", "code"),
    [("", "missing"), ("  ", "missing"), ("x" * 101, "string_too_long"), ("a\x00b", "character_not_allowed")],
)
async def test_a_title_is_validated_like_other_text(uploader: Uploader, title: str, code: str) -> None:
    response = await uploader.send(await uploader.record(), scan(72), title)
    assert list(fields_of(problem(response, 422, "invalid_fields"))) == ["title"]


async def test_a_form_without_its_file_or_with_more_is_refused(uploader: Uploader) -> None:
    record_id = await uploader.record()
    path = f"{ATTACHMENTS}/records/{record_id}/attachment"
    assert fields_of(problem(await uploader.person.call("POST", path), 422, "invalid_fields")) == {"file": "required"}
    form: dict[str, Any] = {"data": {"title": "a", "file": "text"}}
    body = problem(await uploader.person.call("POST", path, **form), 422, "invalid_fields")
    assert fields_of(body) == {"file": "required"}
    more = await uploader.send(record_id, scan(72), practitioner_id="x")
    assert fields_of(problem(more, 422, "invalid_fields")) == {"practitioner_id": "unknown_field"}
    two = [("file", ("a", b"x")), ("file", ("b", b"y"))]
    body = problem(await uploader.person.call("POST", path, files=two), 422, "invalid_fields")
    assert fields_of(body) == {"file": "too_many"}


async def test_only_some_kinds_have_a_scan(uploader: Uploader) -> None:
    work = {
        "employer": "上海建工", "start": "2014-01-01", "end": None, "title": "工程师", "position": "员工",
        "field": "土建",
    }  # fmt: skip
    created = await uploader.person.create(work, kind="work_experience")
    assert created.status_code == 201, created.text
    problem(await uploader.send(created.json()["record_id"], scan(72)), 403, "kind_without_attachment")
    kinds = (await uploader.person.http.get("/api/records/kinds")).json()["items"]
    assert {kind["name"] for kind in kinds if kind["attachment"]} == WITH_SCAN


async def test_the_limits_can_be_read_by_anyone(gateway: httpx2.AsyncClient) -> None:
    rules = (await gateway.get(f"{ATTACHMENTS}/rules")).raise_for_status().json()
    assert rules == {
        "content_types": ["image/jpeg"], "limit_bytes": LIMIT, "least_dpi": 72, "most_dpi": 100, "scale": "1:1",
        "title_length": 100,
    }  # fmt: skip


async def test_the_record_of_an_upload_must_exist(uploader: Uploader) -> None:
    record_id = await uploader.record(EDUCATION)
    assert (await uploader.person.delete(record_id, 1)).status_code == 204
    for unknown in (record_id, uploader.id):
        problem(await uploader.send(unknown, scan(72)), 404, "record_not_found")
