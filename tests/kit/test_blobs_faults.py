"""The kit's S3 client while the server is unavailable, is killed or hangs."""

import asyncio
import time
from collections.abc import AsyncIterator

import psutil
import pytest
import pytest_asyncio

from kit.core.errors import Unavailable
from kit.files import blobs
from kit.files.blobs import Bucket
from kit.settings import BlobSettings
from tests.support.names import own_name
from tests.support.processes import Processes, free_port
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.faults


@pytest_asyncio.fixture
async def bucket(stack: RunningStack) -> AsyncIterator[Bucket]:
    async with blobs.connect(stack.blobs("kit-tests")) as opened:
        await opened.prepare()
        yield opened


async def test_without_s3_everything_is_unavailable_at_once() -> None:
    settings = BlobSettings.model_validate(
        {"endpoint": f"http://127.0.0.1:{free_port()}", "access_key": "a", "secret_key": "b", "bucket": "none"}
    )
    async with asyncio.timeout(5), blobs.connect(settings) as bucket:
        for call in (
            bucket.prepare(), bucket.put("a", b"b", "text/plain"), bucket.get("a"), bucket.stat("a"),
            bucket.delete("a"), bucket.keys(""),
        ):  # fmt: skip
            with pytest.raises(Unavailable):
                await call


async def test_acknowledged_objects_survive_a_kill_of_s3(
    bucket: Bucket, stack: RunningStack, processes: Processes
) -> None:
    folder = own_name("killed")
    for number in range(20):
        await bucket.put(f"{folder}/{number}", b"%d" % number, "text/plain")
    await processes.kill("s3")

    await processes.s3_ready()
    await bucket.put(f"{folder}/after", b"x", "text/plain")
    kept = await asyncio.gather(*(bucket.get(f"{folder}/{number}") for number in range(20)))
    assert kept == [b"%d" % number for number in range(20)]


async def test_a_server_that_hangs_is_unavailable_after_the_timeout(stack: RunningStack, processes: Processes) -> None:
    settings = stack.blobs("kit-tests").model_copy(update={"read_seconds": 1.0, "call_seconds": 1.5})
    async with blobs.connect(settings) as bucket:
        await bucket.prepare()
        server = psutil.Process(await processes.pid("s3"))
        server.suspend()
        try:
            await eventually(lambda: is_stopped(server), 10, "every thread of S3 stands still", pause=0.1)
            began = time.monotonic()
            answers = await asyncio.gather(*(bucket.get("x") for _ in range(20)), return_exceptions=True)
            assert not [answer for answer in answers if not isinstance(answer, Unavailable)]
            assert time.monotonic() - began < 4  # however many wait for a thread
        finally:
            server.resume()
        await eventually(lambda: answered(bucket), 10, "S3 answers again", pause=0.2)


async def is_stopped(process: psutil.Process) -> bool:
    return process.status() == psutil.STATUS_STOPPED


async def answered(bucket: Bucket) -> bool:
    try:
        await bucket.get("x")
    except Unavailable:
        return False
    return True
