"""Photos are made into scans at the public API; a result is its owner's alone, and one that an upload accepts."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from kit.core.clock import ManualClock
from kit.files.encrypted_bucket import EncryptedBucket
from kit.formats.images import jfif_density
from services.attachments.corrections import FOLDER, remove_old
from tests.attachments.conftest import ATTACHMENTS, Uploader
from tests.support.desk_photos import desk_photo
from tests.support.people import Person
from tests.support.problems import problem
from tests.support.scans import scan

CORRECTIONS = f"{ATTACHMENTS}/corrections"
CERTAIN = 3
"""Seed of a photo whose sheet is found with certainty."""


async def send(person: Person, content: bytes) -> httpx2.Response:
    return await person.call("POST", CORRECTIONS, files={"file": ("photo.jpg", content, "image/jpeg")})


async def corrected(person: Person, content: bytes) -> dict[str, Any]:
    answer = await send(person, content)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def image(person: Person, correction_id: str) -> httpx2.Response:
    return await person.call("GET", f"{CORRECTIONS}/{correction_id}/image")


async def test_a_photo_becomes_a_scan_that_an_upload_accepts(uploader: Uploader) -> None:
    made = await corrected(uploader.person, desk_photo(CERTAIN).jpeg)
    assert (made["cropped"], made["remarks"]) == (True, [])
    content = (await image(uploader.person, made["correction_id"])).raise_for_status().content
    density = jfif_density(content)
    assert density is not None
    assert (density.across, density.down) == (made["dpi"], made["dpi"])
    assert len(content) == made["size"] < 300 * 1024
    verdict = await uploader.judged(content)
    assert (verdict["state"], verdict["warnings"]) == ("accepted", [])
    assert (verdict["width"], verdict["height"]) == (made["width"], made["height"])


async def test_a_corrected_scan_is_its_owners_alone(uploader: Uploader, another: Uploader) -> None:
    made = await corrected(uploader.person, scan(200))
    assert made["cropped"] is False
    problem(await image(another.person, made["correction_id"]), 404, "correction_not_found")
    assert (await image(uploader.person, made["correction_id"])).status_code == 200


async def test_many_photos_at_once_keep_nobody_from_the_service(uploader: Uploader, another: Uploader) -> None:
    photo = desk_photo(CERTAIN).jpeg
    answers = await asyncio.gather(*(send(uploader.person, photo) for _ in range(8)))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(201) >= 1
    assert statuses.count(503) >= 4, "as many refusals because of overload make the gateway spare a service"
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)
    assert (await another.person.call("GET", f"{ATTACHMENTS}/rules")).status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"no picture", 415, "not_image"),
        (b"%PDF-1.7\n", 415, "pdf"),
        (b"\0\0\0\x18ftypheic" + bytes(100), 415, "heic"),
        (b"\xff\xd8\xff" + bytes(5_000), 422, "damaged"),
        (b"\xff\xd8\xff" + bytes(12 * 1024 * 1024), 413, "file_too_large"),
    ],
)
async def test_other_files_are_refused_with_advice(uploader: Uploader, content: bytes, status: int, code: str) -> None:
    assert "请" in problem(await send(uploader.person, content), status, code)["detail"]


async def test_corrected_scans_are_removed_after_an_hour(uploader: Uploader, bucket: EncryptedBucket) -> None:
    key = f"{FOLDER}/{(await corrected(uploader.person, scan(200)))['correction_id']}"
    await remove_old(bucket, ManualClock(datetime.now(UTC)))
    assert await bucket.keys(key) == [key]
    await remove_old(bucket, ManualClock(datetime.now(UTC) + timedelta(hours=2)))
    assert await bucket.keys(key) == []
