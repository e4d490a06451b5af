"""Scanned sheets: signed, scanned or photographed, uploaded; the signature is cut out, or a reason returned."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import cv2
import numpy as np
import orjson
import pytest

from kit import mongo
from kit.core.clock import ManualClock
from kit.files.blobs import Bucket
from services.signature.sheets.layout import LAYOUT, code_text
from tests.attachments.corpus import many_scans
from tests.signature.conftest import NewSigner, Signer
from tests.support import own_services
from tests.support.identity_clients import Window
from tests.support.problems import problem
from tests.support.scale import scaled
from tests.support.scans import scan
from tests.support.sheets import drawn, opened, photograph, scanned, sign
from tests.support.stack import RunningStack
from tests.support.subscriber import Records, Subscriber, headers_of

PER_MM = 200 / 25.4
PAGES, ACCEPTED = scaled(64, 6), 0.95
OFF = 0.03  # share of the box's size


@pytest.fixture
def rng() -> Random:
    seed = Random().randrange(10**6)
    print("seed", seed)
    return Random(seed)


async def test_a_signed_sheet_becomes_the_persons_signature(signer: Signer, stack: RunningStack, rng: Random) -> None:
    published = Subscriber(stack.kafka, "signature.changes")
    await published.skip()
    assert (await signer.look())["state"] == "none"
    form, content = await signer.form(), await signer.signed(rng)
    sent = (await signer.send(content)).json()
    assert sent["state"] == "checking"
    verdict = await signer.verdict()
    assert verdict | {"state": "accepted", "reasons": [], "warnings": [], "form_id": form["form_id"]} == verdict
    assert verdict["accepted"]["signature_id"] == verdict["signature_id"] == sent["signature_id"]
    image, page = await signer.file("image"), await signer.file("scan")
    assert (image.headers["Content-Type"], page.headers["Content-Type"]) == ("image/png", "image/jpeg")
    assert opened(image.content).shape[:2] == (round(LAYOUT.cut.height * PER_MM), round(LAYOUT.cut.width * PER_MM))
    assert b"Exif" not in page.content[:2000]

    def own(found: Records) -> list[tuple[str, str]]:
        mine = [one for one in found if headers_of(one)["ce_partitionkey"] == signer.person.id]
        return [(headers_of(one)["ce_type"], orjson.loads(one.value)["state"]) for one in mine]

    events = own(
        await published.until(lambda found: ("signature.signature.changed.v1", "accepted") in own(found), 15, "it")
    )
    assert events == [
        ("signature.form.changed.v1", "valid"),
        ("signature.signature.changed.v1", "checking"),
        ("signature.signature.changed.v1", "accepted"),
    ]


async def test_sheets_from_scanners_and_phones_are_read_at_any_orientation(signer: Signer, rng: Random) -> None:
    """At any angle, tilted, in bad light, blurred, compressed; the box is cut where it was printed."""
    empty, accepted = await signer.printed(), 0
    for number in range(PAGES):
        page = sign(empty, rng)
        take = scanned if number % 3 == 0 else photograph
        verdict = await signer.judged(take(page, rng)[0])
        if verdict["state"] != "accepted":
            print(number, verdict["reasons"])
            continue
        accepted += 1
        off = _off(page, empty, (await signer.file("image")).content)
        assert off <= OFF, f"page {number}: cut {off:.1%} of the box away from where it was printed"
    assert accepted >= int(ACCEPTED * PAGES), f"{accepted} of {PAGES}"


def _off(signed: bytes, empty: bytes, cut: bytes) -> float:
    """The distance of nearly all of the cut's ink from where it was written, as a share of the box's height."""
    box, (height, width) = LAYOUT.cut, opened(cut).shape[:2]
    top, left = round(box.top * PER_MM), round(box.left * PER_MM)
    written = np.abs(opened(signed).astype(int) - opened(empty)).max(axis=2)[top : top + height, left : left + width]
    distances = cv2.distanceTransform((written <= 60).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float(np.percentile(distances[opened(cut)[:, :, 3] > 100], 98) / height)


async def test_an_empty_box_is_refused_from_any_device(signer: Signer, rng: Random) -> None:
    empty = await signer.printed()
    for take in (photograph, scanned) * scaled(10, 1):
        assert await signer.refusal(take(empty, rng)[0]) == "not_signed"


async def test_another_persons_sheet_is_refused(signer: Signer, new_signer: NewSigner, rng: Random) -> None:
    another = await new_signer()
    assert await signer.refusal(await another.signed(rng)) == "sheet_of_another"
    assert (await signer.look())["form_id"] is None, "the response does not name its owner"
    assert (await another.look())["state"] == "none"


@pytest.mark.parametrize(
    "text",
    [
        "QM1" + "A" * 52, "https://example.org/", code_text("0f8fad5b-d9cb-469f-a165-70867728950e", bytes(32)),
        "QM1",
    ],
)  # fmt: skip
async def test_a_sheet_with_a_foreign_qr_code_is_refused(signer: Signer, rng: Random, text: str) -> None:
    assert await signer.refusal(scanned(sign(drawn(text), rng), rng)[0]) == "sheet_unknown"


async def test_a_sheet_without_its_code_or_its_markers_is_refused(signer: Signer, rng: Random) -> None:
    assert await signer.refusal(scanned(sign(drawn(None), rng), rng)[0]) == "sheet_not_found"
    assert await signer.refusal(scan(72)) == "sheet_not_found"
    page = opened(sign(await signer.printed(), rng))
    for marker in (LAYOUT.markers[0], LAYOUT.markers[2]):
        top, left = round((marker.top - 1) * PER_MM), round((marker.left - 1) * PER_MM)
        page[top : top + round(12 * PER_MM), left : left + round(12 * PER_MM)] = 255
    assert await signer.refusal(cv2.imencode(".jpg", page)[1].tobytes()) == "markers_missing"


async def test_a_sheet_printed_before_a_change_of_name_is_refused(signer: Signer, window: Window, rng: Random) -> None:
    old = await signer.signed(rng)
    assert (await window.read_card(signer.citizen, name="王新名")).status_code == 200
    assert await signer.refusal(old) == "sheet_stale"
    assert (await signer.judged(await signer.signed(rng)))["state"] == "accepted"


@pytest.mark.parametrize(("days_ago", "outcome"), [(179, None), (181, "sheet_expired")])
async def test_a_sheet_is_valid_for_half_a_year(
    signer: Signer,
    stack: RunningStack,
    monkeypatch: pytest.MonkeyPatch,
    rng: Random,
    days_ago: int,
    outcome: str | None,
) -> None:
    gateway = signer.person.http
    then = ManualClock(datetime.now(UTC) - timedelta(days=days_ago))
    async with own_services.signature(stack, monkeypatch, then) as signer.person.http:
        url, sheet = (await signer.form())["pdf_url"], await signer.signed(rng)
    signer.person.http = gateway
    verdict = await signer.judged(sheet)
    assert [reason["code"] for reason in verdict["reasons"]] == ([outcome] if outcome else [])
    again = await signer.person.call("GET", url)
    assert again.status_code == (410 if outcome else 200)


async def test_a_new_signature_replaces_the_old_one_and_a_refused_one_does_not(
    signer: Signer, bucket: Bucket, rng: Random
) -> None:
    first = await signer.judged(await signer.signed(rng))
    image = (await signer.file("image")).content
    refused = await signer.judged(scanned(await signer.printed(), rng)[0])
    assert (refused["state"], refused["accepted"]) == ("refused", first["accepted"])
    assert (await signer.file("image")).content == image
    second = await signer.judged(await signer.signed(rng))
    assert second["accepted"]["signature_id"] == second["signature_id"] != first["signature_id"]
    assert (await signer.file("image")).content != image


async def test_seeing_a_refusal_is_stored_once(signer: Signer, stack: RunningStack, rng: Random) -> None:
    refused = await signer.judged(scanned(await signer.printed(), rng)[0])
    for _ in range(3):
        assert (await signer.look())["state"] == "refused"
    async with mongo.connect(stack.mongo, "signature") as database:
        stored: dict[str, Any] = await database["signatures"].find_one({"_id": refused["signature_id"]}) or {}
    assert [entry["action"] for entry in stored["history"]] == ["uploaded", "refused", "seen"]
    assert stored["seen"]


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        (lambda content: content[: len(content) // 2], "damaged"),
        (lambda content: content[:200], "damaged"),
        (lambda _: many_scans(6_000, 1), "too_many_pixels"),
    ],
)
async def test_unreadable_images_are_refused(
    signer: Signer, rng: Random, spoilt: Callable[[bytes], bytes], code: str
) -> None:
    assert await signer.refusal(spoilt(await signer.signed(rng))) == code


async def test_a_file_that_is_not_a_jpeg_or_too_large_is_not_accepted(signer: Signer, rng: Random) -> None:
    problem(await signer.send(await signer.printed()), 415, "not_jpeg")
    problem(await signer.send(b""), 415, "not_jpeg")
    problem(await signer.send(b"\xff\xd8\xff" + bytes(5 * 1024 * 1024)), 413, "file_too_large")
    problem(await signer.send(b"\xff\xd8\xff", title="x"), 422, "invalid_fields")
    assert (await signer.look())["state"] == "none"
    exactly = await signer.signed(rng)
    verdict = await signer.judged(exactly + bytes(5 * 1024 * 1024 - len(exactly)))
    assert verdict["state"] == "accepted"
