"""What kit.files.blobs needs of an S3 server: every backend must pass this before the product can use it.

The backend comes from the settings that every service reads (BLOBS__ENDPOINT, BLOBS__ACCESS_KEY, BLOBS__SECRET_KEY,
BLOBS__BUCKET; BLOBS__REGION where it matters); without them it is the S3 server of the tests' stack. A missing bucket
is created. Another backend needs no stack:

    export BLOBS__ENDPOINT=https://… BLOBS__ACCESS_KEY=… BLOBS__SECRET_KEY=… BLOBS__BUCKET=…
    python -m pytest tests/kit/test_blobs.py
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO

import httpx2
import pytest
import pytest_asyncio
from minio import Minio
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from urllib3 import PoolManager

from kit.core.errors import Unavailable
from kit.core.ids import secret_id
from kit.files import blobs
from kit.files.blobs import DIGEST, Bucket, ChecksumMismatch, Stat
from kit.runtime.tls import client_context
from kit.settings import BlobSettings
from tests.support.names import own_name
from tests.support.stack import RunningStack

MORE_THAN_A_PAGE = 1_001  # S3 lists a thousand keys at a time
LARGEST = 5 * 1024 * 1024  # the largest object of the product


class Backend(BaseSettings):
    model_config = SettingsConfigDict(env_nested_delimiter="__")

    blobs: BlobSettings | None = None


@pytest.fixture(scope="module")
def settings() -> BlobSettings:
    return Backend().blobs or RunningStack.from_environment().blobs("kit-tests")


@pytest_asyncio.fixture
async def bucket(settings: BlobSettings) -> AsyncIterator[Bucket]:
    async with blobs.connect(settings) as opened:
        await opened.prepare()
        yield opened


@pytest.fixture
def other(settings: BlobSettings) -> Minio:
    """A client with the keys that bypasses the kit."""
    scheme, _, place = settings.endpoint.partition("://")
    keys = settings.access_key.get_secret_value(), settings.secret_key.get_secret_value()
    pool = PoolManager(ca_certs=settings.ca and str(settings.ca))
    return Minio(endpoint=place, access_key=keys[0], secret_key=keys[1], secure=scheme == "https", http_client=pool)


async def test_concurrent_callers_create_a_bucket_once(bucket: Bucket) -> None:
    await asyncio.gather(*(bucket.prepare() for _ in range(8)))


@pytest.mark.parametrize("size", [0, 1, 300 * 1024, LARGEST])
async def test_an_object_is_stored_read_and_deleted(bucket: Bucket, size: int) -> None:
    key, content = f"{own_name('blob')}/a", (bytes(range(256)) * (size // 256 + 1))[:size]
    began = datetime.now(UTC)
    await bucket.put(key, content, "image/jpeg")
    assert await bucket.get(key) == content
    known = await bucket.stat(key)
    assert known is not None
    assert known == Stat(key, size, "image/jpeg", hashlib.sha256(content).hexdigest(), known.modified)
    assert abs(known.modified - began) < timedelta(minutes=5)
    await bucket.delete(key)
    assert (await bucket.get(key), await bucket.stat(key)) == (None, None)


async def test_an_object_is_replaced_whole_and_the_next_reader_sees_it(bucket: Bucket) -> None:
    key = own_name("blob")
    for number in range(20):
        content = b"%d" % number * (20 - number)
        await bucket.put(key, content, "text/plain" if number % 2 else "image/png")
        assert await bucket.get(key) == content
    known = await bucket.stat(key)
    assert known is not None
    assert (known.size, known.content_type) == (2, "text/plain")
    await bucket.delete(key)


async def test_a_missing_object_is_not_found_and_deleting_it_is_no_error(bucket: Bucket) -> None:
    key = own_name("nothing")
    assert (await bucket.get(key), await bucket.stat(key), await bucket.keys(key)) == (None, None, [])
    await bucket.delete(key)


async def test_concurrent_objects_are_not_mixed_up(bucket: Bucket) -> None:
    folder = f"scans/{secret_id()}"
    contents = {f"{folder}/{number}": secret_id().encode() * (number + 1) for number in range(60)}
    await asyncio.gather(*(bucket.put(key, content, "image/jpeg") for key, content in contents.items()))
    assert await asyncio.gather(*map(bucket.get, contents)) == list(contents.values())
    await asyncio.gather(*map(bucket.delete, contents))
    assert await bucket.keys(folder) == []


async def test_keys_are_listed_below_their_prefix(bucket: Bucket) -> None:
    folder = own_name("folder")
    for name in ("b/c", "a", "b/d", "b-c"):
        await bucket.put(f"{folder}/{name}", b"x", "text/plain")
    assert await bucket.keys(f"{folder}/") == [f"{folder}/{name}" for name in ("a", "b-c", "b/c", "b/d")]
    assert await bucket.keys(f"{folder}/b/") == [f"{folder}/b/c", f"{folder}/b/d"]
    assert len(await bucket.keys(f"{folder}/b")) == 3  # a prefix may end within a name
    now = datetime.now(UTC)
    for than, old in ((now - timedelta(hours=1), False), (now + timedelta(hours=1), True)):
        assert await bucket.older(f"{folder}/b/", than) == {f"{folder}/b/c": old, f"{folder}/b/d": old}


async def test_more_keys_than_a_page_holds_are_all_listed(bucket: Bucket) -> None:
    folder = own_name("many")
    keys = [f"{folder}/{number:04}" for number in range(MORE_THAN_A_PAGE)]
    await some_at_once(keys, lambda key: bucket.put(key, b"", "text/plain"))
    assert await bucket.keys(f"{folder}/") == keys
    await some_at_once(keys, bucket.delete)


async def some_at_once(keys: list[str], act: Callable[[str], Awaitable[None]]) -> None:
    """Runs the calls in small groups: the time a call waits for a thread counts towards its time-out."""
    for at in range(0, len(keys), 100):
        await asyncio.gather(*map(act, keys[at : at + 100]))


async def test_an_object_changed_in_the_bucket_is_a_checksum_mismatch(
    bucket: Bucket, other: Minio, settings: BlobSettings
) -> None:
    key, digest = own_name("blob"), hashlib.sha256(b"what we wrote").hexdigest()
    await bucket.put(key, b"what we wrote", "text/plain")
    await asyncio.to_thread(overwrite, other, settings.bucket, key, b"what they wrote", digest)
    with pytest.raises(ChecksumMismatch):
        await bucket.get(key)


def overwrite(other: Minio, name: str, key: str, content: bytes, digest: str) -> None:
    metadata: dict[str, str | list[str] | tuple[str]] = {DIGEST: digest}
    other.put_object(name, key, BytesIO(content), len(content), metadata=metadata)


async def test_without_the_keys_nothing_can_be_read(bucket: Bucket, settings: BlobSettings) -> None:
    key = own_name("private")
    await bucket.put(key, b"private", "text/plain")
    wrong = settings.model_copy(update={"secret_key": SecretStr("wrong")})
    async with blobs.connect(wrong) as stranger:
        for call in (stranger.get(key), stranger.put(key, b"x", "text/plain"), stranger.keys(""), stranger.delete(key)):
            with pytest.raises(Unavailable):
                await call
    async with httpx2.AsyncClient(base_url=settings.endpoint, verify=client_context(settings.ca)) as http:
        for path in (f"/{settings.bucket}/{key}", f"/{settings.bucket}?list-type=2"):
            assert (await http.get(path)).status_code in (401, 403)
    assert await bucket.get(key) == b"private"
