"""Files in an S3 bucket: the only importer of its client. Objects are whole, small, and verified when they are read."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from io import BytesIO
from typing import TypeVar
from urllib.parse import urlsplit

from minio import Minio
from minio.error import MinioException, S3Error
from urllib3 import PoolManager, Timeout
from urllib3.exceptions import HTTPError

from kit.errors import Unavailable
from kit.settings import BlobSettings

T = TypeVar("T")
DIGEST = "x-amz-meta-sha256"
MISSING = ("NoSuchKey", "NoSuchObject")
THERE_ALREADY = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


class Damaged(Exception):
    """What the bucket gave is not what was put there."""


@dataclass(frozen=True)
class Stat:
    """What is known of an object without reading it; `sha256` in hexadecimal."""

    key: str
    size: int
    content_type: str
    sha256: str
    modified: datetime


class Bucket:
    """The objects of one bucket. The client is synchronous: its calls wait on threads, as many as it has connections.

    Every call raises `Unavailable` when S3 is away, refuses, or takes longer than `call_seconds`.
    """

    def __init__(self, client: Minio, name: str, threads: ThreadPoolExecutor, seconds: float) -> None:
        self._client, self._name, self._threads, self._seconds = client, name, threads, seconds

    async def prepare(self) -> None:
        """Create the bucket where it is missing; a readiness check."""
        await self._call(self._prepare)

    async def put(self, key: str, content: bytes, content_type: str) -> None:
        """Store an object; one with the same key is replaced. S3 compares the bytes with their signed digest."""
        digest = {DIGEST: hashlib.sha256(content).hexdigest()}
        put = partial(self._client.put_object, content_type=content_type, metadata=dict(digest))
        await self._call(put, self._name, key, BytesIO(content), len(content))

    async def get(self, key: str) -> bytes | None:
        """The object's bytes, or None. Raises `Damaged` when they don't fit the digest that was stored with them."""
        return await self._call(self._get, key)

    async def stat(self, key: str) -> Stat | None:
        """What is known of the object, or None."""
        return await self._call(self._stat, key)

    async def delete(self, key: str) -> None:
        """Remove the object; one that is not there is no error."""
        await self._call(self._client.remove_object, self._name, key)

    async def keys(self, prefix: str) -> list[str]:
        """All keys that begin with `prefix`, in order."""
        return await self._call(self._keys, prefix)

    async def _call(self, act: Callable[..., T], *arguments: object) -> T:
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads, act, *arguments)
        except (MinioException, HTTPError, OSError) as error:  # a TimeoutError is an OSError
            raise Unavailable("S3") from error

    def _prepare(self) -> None:
        if self._client.bucket_exists(self._name):
            return
        try:
            self._client.make_bucket(self._name)
        except S3Error as error:  # another process was quicker
            if error.code not in THERE_ALREADY:
                raise

    def _get(self, key: str) -> bytes | None:
        with _none_if_missing(), closing(self._client.get_object(self._name, key)) as response:
            content: bytes = response.read()
            response.release_conn()
            if hashlib.sha256(content).hexdigest() != response.headers.get(DIGEST):
                raise Damaged(key)
            return content
        return None

    def _stat(self, key: str) -> Stat | None:
        with _none_if_missing():
            found = self._client.stat_object(self._name, key)
            told, modified = found.metadata or {}, found.last_modified or datetime.min
            return Stat(key, found.size or 0, found.content_type or "", told.get(DIGEST, ""), modified)
        return None

    def _keys(self, prefix: str) -> list[str]:
        return [str(found.object_name) for found in self._client.list_objects(self._name, prefix, recursive=True)]


@contextmanager
def _none_if_missing() -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        if error.code not in MISSING:
            raise


@asynccontextmanager
async def connect(settings: BlobSettings) -> AsyncIterator[Bucket]:
    """The service's bucket. Connects lazily: opening never fails."""
    address = urlsplit(settings.endpoint)
    limits = Timeout(connect=settings.connect_seconds, read=settings.read_seconds)
    client = Minio(
        endpoint=address.netloc,
        access_key=settings.access_key.get_secret_value(),
        secret_key=settings.secret_key.get_secret_value(),
        secure=address.scheme == "https",
        region=settings.region,
        http_client=PoolManager(timeout=limits, retries=2, maxsize=settings.connections),
    )
    threads = ThreadPoolExecutor(settings.connections, "s3")
    try:
        yield Bucket(client, settings.bucket, threads, settings.call_seconds)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
