"""The kit's layer over S3, on a real server."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO

import psutil
import pytest
import pytest_asyncio
from minio import Minio
from pydantic import SecretStr

from kit import blobs
from kit.blobs import DIGEST, Bucket, Damaged
from kit.errors import Unavailable
from kit.settings import BlobSettings
from tests.support.names import own_name
from tests.support.processes import Processes, free_port
from tests.support.stack import RunningStack
from tests.support.waiting import eventually


@pytest_asyncio.fixture
async def bucket(stack: RunningStack) -> AsyncIterator[Bucket]:
    async with blobs.connect(stack.blobs("kit-tests")) as opened:
        await opened.prepare()
        yield opened


async def test_what_is_put_is_got_and_known_until_it_is_deleted(bucket: Bucket) -> None:
    key, content = f"{own_name('blob')}/a", bytes(range(256)) * 1000
    await bucket.put(key, content, "image/jpeg")
    assert await bucket.get(key) == content
    known = await bucket.stat(key)
    assert known is not None
    assert (known.size, known.content_type) == (len(content), "image/jpeg")
    assert known.sha256 == hashlib.sha256(content).hexdigest()
    await bucket.put(key, b"", "text/plain")
    assert await bucket.get(key) == b""
    await bucket.delete(key)
    await bucket.delete(key)
    assert (await bucket.get(key), await bucket.stat(key)) == (None, None)


async def test_keys_are_listed_below_their_prefix(bucket: Bucket) -> None:
    folder = own_name("folder")
    for name in ("b/c", "a", "b/d"):
        await bucket.put(f"{folder}/{name}", b"x", "text/plain")
    assert await bucket.keys(f"{folder}/") == [f"{folder}/a", f"{folder}/b/c", f"{folder}/b/d"]
    assert await bucket.keys(f"{folder}/b/") == [f"{folder}/b/c", f"{folder}/b/d"]
    now = datetime.now(UTC)
    for than, old in ((now - timedelta(hours=1), False), (now + timedelta(hours=1), True)):
        assert await bucket.older(f"{folder}/b/", than) == {f"{folder}/b/c": old, f"{folder}/b/d": old}


async def test_a_bucket_is_made_once_however_many_want_it(stack: RunningStack) -> None:
    async with blobs.connect(stack.blobs("kit-tests-made")) as opened:
        await asyncio.gather(*(opened.prepare() for _ in range(8)))
        await opened.put("x", b"x", "text/plain")


async def test_what_somebody_changed_in_the_bucket_is_noticed(bucket: Bucket, stack: RunningStack) -> None:
    key = own_name("blob")
    await bucket.put(key, b"what we wrote", "text/plain")
    s3 = stack.facts["s3"]
    other = Minio(s3["endpoint"].removeprefix("http://"), s3["access_key"], s3["secret_key"], secure=False)
    digest: dict[str, str | list[str] | tuple[str]] = {DIGEST: hashlib.sha256(b"what we wrote").hexdigest()}
    changed = partial(other.put_object, metadata=digest)
    await asyncio.to_thread(changed, "kit-tests", key, BytesIO(b"what they wrote"), 15)
    with pytest.raises(Damaged):
        await bucket.get(key)


async def test_nobody_reads_without_the_keys(bucket: Bucket, stack: RunningStack) -> None:
    wrong = stack.blobs("kit-tests").model_copy(update={"secret_key": SecretStr("wrong")})
    async with blobs.connect(wrong) as stranger:
        with pytest.raises(Unavailable):
            await stranger.get("x")


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


async def test_s3_may_be_killed_and_what_it_acknowledged_is_there(
    bucket: Bucket, stack: RunningStack, processes: Processes
) -> None:
    folder = own_name("killed")
    for number in range(20):
        await bucket.put(f"{folder}/{number}", b"%d" % number, "text/plain")
    await processes.kill("s3")

    await eventually(lambda: answered(bucket), 20, "S3 answers again", pause=0.2)
    await bucket.put(f"{folder}/after", b"x", "text/plain")
    kept = await asyncio.gather(*(bucket.get(f"{folder}/{number}") for number in range(20)))
    assert kept == [b"%d" % number for number in range(20)]


async def test_a_server_that_hangs_is_away_after_a_while(stack: RunningStack, processes: Processes) -> None:
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
