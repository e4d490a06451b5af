"""Processes that die under a check: every upload that was acknowledged ends with a verdict."""

import asyncio
from contextlib import suppress
from functools import partial

import httpx2
import psutil

from kit.auth import TokenIssuer
from tests.attachments.conftest import Uploader
from tests.attachments.corpus import many_scans
from tests.support.people import Person
from tests.support.processes import Processes
from tests.support.scans import scan
from tests.support.waiting import eventually

UPLOADS, KILLS = 40, 3
BUSY_SECONDS = 1.0  # of a processor: more than a sandbox needs to start, less than the slow file takes


async def test_a_worker_that_is_killed_again_and_again_loses_no_verdict(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, processes: Processes
) -> None:
    content, sent = scan(72), list[tuple[Uploader, str]]()

    async def upload() -> None:
        for number in range(UPLOADS):
            uploader = Uploader(Person(gateway, issuer))
            record_id = await uploader.record()
            await uploader.sent(record_id, content + number.to_bytes(2, "big"))
            sent.append((uploader, record_id))
            await asyncio.sleep(0.2)

    uploading = asyncio.create_task(upload())
    for _ in range(KILLS):
        await asyncio.sleep(2)
        await processes.kill("attachments-worker")
    await uploading
    for uploader, record_id in sent:
        assert (await uploader.verdict(record_id, within=60))["state"] == "accepted"
        await eventually(partial(follows, uploader, record_id), 30, "the record follows")
    assert len(sent) == UPLOADS


async def follows(uploader: Uploader, record_id: str) -> bool:
    return (await uploader.in_record(record_id) or {}).get("state") == "accepted"


async def test_a_file_whose_process_is_killed_each_time_is_refused_and_not_tried_for_ever(
    uploader: Uploader, processes: Processes
) -> None:
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
