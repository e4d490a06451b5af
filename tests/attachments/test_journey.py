"""The life cycle of a scan at the public API: uploaded, checked, shown, published, deleted."""

import hashlib
from io import BytesIO
from typing import Any

import httpx2
import orjson
from PIL import Image

from kit import mongo
from kit.files.blobs import Bucket
from kit.security.tokens import Caller, TokenIssuer
from tests.attachments.conftest import ATTACHMENTS, Uploader
from tests.support.identity_clients import bearer
from tests.support.people import EDUCATION
from tests.support.problems import problem
from tests.support.processes import Processes
from tests.support.scans import scan
from tests.support.stack import RunningStack
from tests.support.subscriber import Records, Subscriber, version_of
from tests.support.waiting import eventually

MARK = b"<script>alert(1)</script>"


async def stored(stack: RunningStack, attachment_id: str) -> dict[str, Any]:
    async with mongo.connect(stack.mongo, "attachments") as database:
        return dict(await database["attachments"].find_one({"_id": attachment_id}) or {})


async def test_a_scan_is_checked_after_the_response_and_its_record_is_updated(
    uploader: Uploader, stack: RunningStack
) -> None:
    scans, records = Subscriber(stack.kafka, "attachments.changes"), Subscriber(stack.kafka, "records.changes")
    await scans.skip()
    await records.skip()
    record_id, content = await uploader.record(), scan(seed=1)
    sent = await uploader.sent(record_id, content, "  学历证书 ")
    assert sent == {
        "attachment_id": sent["attachment_id"], "state": "checking", "title": "学历证书", "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }  # fmt: skip
    verdict = await uploader.verdict(record_id)
    assert verdict | {"state": "accepted", "reasons": [], "warnings": [], "used_elsewhere": None} == verdict
    assert (verdict["width"], verdict["height"], verdict["dpi"]) == (827, 1169, 100)

    async def follows() -> bool:
        return (await uploader.in_record(record_id) or {}).get("state") == "accepted"

    await eventually(follows, 15, "the record follows")
    kept = {"attachment_id": sent["attachment_id"], "title": "学历证书", "state": "accepted", "reasons": []}
    assert await uploader.in_record(record_id) == kept

    def events_of(found: Records) -> list[dict[str, Any]]:
        about = {record_id, sent["attachment_id"]}
        return [orjson.loads(one.value) for one in found if version_of(one)[0] in about]

    def complete(found: Records) -> bool:
        last = events_of(found)[-1:]
        return bool(last) and "accepted" in (last[0]["state"], (last[0].get("attachment") or {}).get("state"))

    events = events_of(await scans.until(complete, 15, "events of attachments"))
    assert [(event["state"], event["action"]) for event in events] == [
        ("checking", "uploaded"), ("accepted", "accepted"),
    ]  # fmt: skip
    assert events[1]["changed"] == ["state", "width", "height", "dpi"]
    assert {"folder", "used_elsewhere"}.isdisjoint(events[1])
    downstream = events_of(await records.until(complete, 15, "events of records"))[-1]
    assert (downstream["attachment"], downstream["changed"]) == (kept, ["attachment"])


async def test_browsers_get_a_clean_image_and_the_original_is_unchanged(
    uploader: Uploader, gateway: httpx2.AsyncClient, issuer: TokenIssuer, bucket: Bucket, stack: RunningStack
) -> None:
    turned = Image.Exif()
    turned[0x0112], turned[0x010E] = 6, MARK.decode()
    content = scan(72, seed=2, exif=turned, comment=MARK) + b"PK\x03\x04" + MARK
    record_id = await uploader.record()
    attachment_id = (await uploader.sent(record_id, content))["attachment_id"]
    assert (await uploader.verdict(record_id))["state"] == "accepted"
    for which, name in (("image", "scan.jpg"), ("thumbnail", "thumbnail.jpg")):
        shown = await uploader.file(attachment_id, which)
        assert (shown.status_code, shown.headers["Content-Type"]) == (200, "image/jpeg")
        assert shown.headers["Content-Disposition"] == f'inline; filename="{name}"'
        assert (shown.headers["X-Content-Type-Options"], shown.headers["Cache-Control"]) == ("nosniff", "no-store")
        assert MARK not in shown.content
        with Image.open(BytesIO(shown.content)) as picture:
            picture.load()
            assert picture.width > picture.height, "it lay on its side"
            assert not picture.getexif()
            assert max(picture.size) == (842 if which == "image" else 240)
    problem(await uploader.file(attachment_id, "original"), 403, "forbidden")
    path = f"{ATTACHMENTS}/attachments/{attachment_id}/original"
    client = bearer(issuer.issue(Caller("archive", "client", scopes=frozenset({"attachments:original"}))))
    original = await gateway.get(path, headers=client)
    assert original.content == content
    assert original.headers["Content-Disposition"] == 'attachment; filename="original.jpg"'
    key = (await stored(stack, attachment_id))["folder"] + "/original"
    await bucket.put(key, content[:-1], "image/jpeg")
    problem(await gateway.get(path, headers=client), 500, "internal_error", key)


async def test_a_scan_is_deleted_and_another_one_uploaded(
    uploader: Uploader, bucket: Bucket, stack: RunningStack
) -> None:
    record_id = await uploader.record()
    first = await uploader.sent(record_id, scan(seed=3))
    problem(await uploader.send(record_id, scan(seed=4)), 409, "attachment_exists")
    await uploader.verdict(record_id)
    folder = (await stored(stack, first["attachment_id"]))["folder"]
    assert len(await bucket.keys(folder)) == 3
    assert (await uploader.delete(record_id)).status_code == 204
    problem(await uploader.look(record_id), 404, "not_found")
    problem(await uploader.file(first["attachment_id"]), 404, "not_found")
    problem(await uploader.delete(record_id), 404, "not_found")
    second = await uploader.sent(record_id, scan(150, seed=4, quality=40))
    assert (await uploader.verdict(record_id))["state"] == "refused"
    problem(await uploader.file(second["attachment_id"]), 404, "not_found")

    async def follows() -> bool:
        events_of = await uploader.in_record(record_id) or {}
        return (events_of.get("attachment_id"), events_of.get("state")) == (second["attachment_id"], "refused")

    async def gone() -> bool:
        return not await bucket.keys(folder)

    await eventually(follows, 15, "the record follows the second scan")
    await eventually(gone, 15, "the files of the first one are gone")


async def test_deleting_a_record_deletes_its_attachment(
    uploader: Uploader, bucket: Bucket, stack: RunningStack
) -> None:
    record_id = await uploader.record()
    attachment_id = (await uploader.sent(record_id, scan(seed=5)))["attachment_id"]
    await uploader.verdict(record_id)
    folder = (await stored(stack, attachment_id))["folder"]

    async def deleted() -> bool:
        version = (await uploader.person.get(record_id)).json()["version"]
        return (await uploader.person.delete(record_id, version)).status_code == 204

    async def gone() -> bool:
        return (await uploader.look(record_id)).status_code == 404 and not await bucket.keys(folder)

    await eventually(deleted, 5, "the record is deleted")  # its attachment may be changing it concurrently
    await eventually(gone, 15, "attachment and files are gone")
    assert (await stored(stack, attachment_id))["state"] == "deleted"
    problem(await uploader.send(record_id, scan(seed=6)), 404, "record_not_found")


async def test_an_unknown_record_is_read_from_records(uploader: Uploader, processes: Processes) -> None:
    async with processes.down("records-worker"):
        record_id = await uploader.record(EDUCATION)
        await uploader.sent(record_id, scan(seed=7))
        assert (await uploader.verdict(record_id))["state"] == "accepted"
        assert await uploader.in_record(record_id) is None
        async with processes.down("records-api"):
            problem(await uploader.send(record_id, scan(seed=8)), 409, "attachment_exists")  # known now
            problem(await uploader.send(uploader.id, scan(seed=8)), 503, "unavailable")
        await processes.ready(processes.stack.facts["services"]["records"]["internal"])

    async def follows() -> bool:
        return (await uploader.in_record(record_id) or {}).get("state") == "accepted"

    await eventually(follows, 30, "the record follows when its worker is back")


async def test_without_s3_uploads_are_refused_and_earlier_ones_checked_afterwards(
    uploader: Uploader, processes: Processes, stack: RunningStack
) -> None:
    waiting, refused = await uploader.record(), await uploader.record()
    async with processes.down("attachments-worker"):
        await uploader.sent(waiting, scan(seed=9))
    async with processes.down("s3"):
        problem(await uploader.send(refused, scan(seed=10)), 503, "unavailable")
        problem(await uploader.look(refused), 404, "not_found")
        assert (await uploader.look(waiting)).status_code == 200
    assert (await uploader.verdict(waiting, within=40))["state"] == "accepted"

    async def taken() -> bool:
        return (await uploader.send(refused, scan(seed=10))).status_code == 202

    await eventually(taken, 20, "S3 is back", pause=0.3)
    assert (await uploader.verdict(refused, within=20))["state"] == "accepted"
