"""Processes and servers are killed during uploads and checks: every acknowledged file gets a verdict."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx2
import psutil
import pytest

from kit import mongo
from kit.files.blobs import Bucket
from kit.security.tokens import TokenIssuer
from services.attachments.domain import Attachment
from services.attachments.store import Attachments
from tests.attachments.conftest import Uploader
from tests.attachments.corpus import many_scans
from tests.support.people import Person
from tests.support.problems import problem
from tests.support.processes import Processes
from tests.support.scale import scaled
from tests.support.scans import scan
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.faults
UPLOADS, WORKER_KILLS, S3_KILLS = scaled(200, 25), scaled(10, 2), scaled(3, 2)
BETWEEN_SECONDS = 0.2  # uploads
BUSY_SECONDS = 1.0  # CPU seconds: more than a sandbox needs to start, less than the slow file takes
LONG_SECONDS = 60


@dataclass
class Uploads:
    """Uploads one after the other, each for another person's record; `sent` were acknowledged, `refused` were not."""

    people: Callable[[], Uploader]
    sent: list[tuple[Uploader, str, bytes]] = field(default_factory=list)
    refused: list[tuple[Uploader, str]] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._upload(scan(72)))
        yield
        await task

    async def _upload(self, jpeg: bytes) -> None:
        for number in range(UPLOADS):
            uploader, content = self.people(), jpeg + number.to_bytes(2, "big")
            record_id = await uploader.record()
            answer = await uploader.send(record_id, content)
            if answer.status_code == 202:
                self.sent.append((uploader, record_id, content))
            else:
                problem(answer, 503, "unavailable")
                self.refused.append((uploader, record_id))
            await asyncio.sleep(BETWEEN_SECONDS)

    async def settle(self, stack: RunningStack, bucket: Bucket) -> None:
        """Waits until every upload has its outcome, and checks it."""
        print(f"{len(self.sent)} acknowledged, {len(self.refused)} refused")
        async with mongo.connect(stack.mongo, "attachments") as database:
            for uploader, record_id, content in self.sent:
                assert (await uploader.verdict(record_id, within=LONG_SECONDS))["state"] == "accepted"
                await eventually(partial(follows, uploader, record_id), LONG_SECONDS, "the record follows")
                attachment = await Attachments(database).of_record(record_id)
                assert attachment is not None
                assert await objects(bucket, attachment) == [hashlib.sha256(content).hexdigest(), True, True]
        for uploader, record_id in self.refused:
            problem(await uploader.look(record_id), 404, "not_found")
            assert await uploader.in_record(record_id) is None


async def follows(uploader: Uploader, record_id: str) -> bool:
    return (await uploader.in_record(record_id) or {}).get("state") == "accepted"


async def objects(bucket: Bucket, attachment: Attachment) -> list[object]:
    """The digest of the original, and whether the clean images exist."""
    original, *pictures = [
        await bucket.get(key) for key in (attachment.original, attachment.image, attachment.thumbnail)
    ]
    return [hashlib.sha256(original or b"").hexdigest(), *(bool(picture) for picture in pictures)]


@pytest.fixture
def uploads(gateway: httpx2.AsyncClient, issuer: TokenIssuer) -> Uploads:
    return Uploads(lambda: Uploader(Person(gateway, issuer)))


async def test_repeated_kills_of_the_worker_lose_no_verdict(
    uploads: Uploads, processes: Processes, stack: RunningStack, bucket: Bucket
) -> None:
    async with uploads.running():
        for _ in range(WORKER_KILLS):
            await asyncio.sleep(2)
            await processes.kill("attachments-worker")
    await uploads.settle(stack, bucket)
    assert len(uploads.sent) == UPLOADS


async def test_repeated_kills_of_s3_lose_no_acknowledged_file(
    uploads: Uploads, processes: Processes, stack: RunningStack, bucket: Bucket
) -> None:
    async with uploads.running():
        for _ in range(S3_KILLS):
            await asyncio.sleep(2)
            await processes.kill("s3")
    await processes.s3_ready()
    await uploads.settle(stack, bucket)
    assert uploads.sent


async def test_a_hanging_s3_is_reported_soon_and_leaves_no_document(
    stack: RunningStack, uploader: Uploader, processes: Processes, issuer: TokenIssuer, tmp_path: Path
) -> None:
    record_id, patience = await uploader.record(), {"BLOBS__READ_SECONDS": "2", "BLOBS__CALL_SECONDS": "3"}
    server = psutil.Process(await processes.pid("s3"))
    async with (
        processes.standby("attachments-api", "hangs", tmp_path / "api.log", **patience) as api,
        stack.http(api.api) as http,
    ):
        server.suspend()
        try:
            async with asyncio.timeout(6):
                problem(await Uploader(Person(http, issuer, uploader.id)).send(record_id, scan(72)), 503, "unavailable")
        finally:
            server.resume()
    problem(await uploader.look(record_id), 404, "not_found")
    await eventually(lambda: taken(uploader, record_id), 20, "S3 answers again", pause=0.3)
    assert (await uploader.verdict(record_id))["state"] == "accepted"


async def taken(uploader: Uploader, record_id: str) -> bool:
    return (await uploader.send(record_id, scan(72))).status_code == 202


async def test_a_file_that_crashes_its_process_each_time_is_refused(uploader: Uploader, processes: Processes) -> None:
    worker = psutil.Process(await processes.pid("attachments-worker"))
    record_id = await uploader.record()
    await uploader.sent(record_id, many_scans(5_000, 180))
    known, killed = {child.pid: sum(child.cpu_times()[:2]) for child in worker.children()}, 0

    async def judged() -> str:
        nonlocal killed
        for child in worker.children():
            with suppress(psutil.NoSuchProcess):
                if sum(child.cpu_times()[:2]) - known.get(child.pid, 0) > BUSY_SECONDS:
                    child.kill()
                    killed += 1
        found = (await uploader.look(record_id)).json()
        return "" if found["state"] == "checking" else str(found["reasons"][0]["code"])

    assert await eventually(judged, 40, "it is refused") == "check_failed"
    assert killed >= 2
    assert await processes.pid("attachments-worker") == worker.pid
    another = await uploader.record()
    await uploader.sent(another, scan(72, seed=77))
    assert (await uploader.verdict(another))["state"] == "accepted"
