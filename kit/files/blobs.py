"""Files in an S3 bucket: the only importer of its client. Objects are whole, small, and verified when they are read.

The client library takes 10 MB and is imported by the first call: some workers and commands make none.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from kit.core.errors import NotFound, Unavailable
from kit.observability import log
from kit.settings import BlobSettings

if TYPE_CHECKING:
    from minio import Minio

T = TypeVar("T")
logger = log.get(__name__)
DIGEST = "x-amz-meta-sha256"
MISSING = ("NoSuchKey", "NoSuchObject")
ALREADY_EXISTS = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


class ChecksumMismatch(Exception):
    """Stored bytes are not those that were stored."""


@dataclass(frozen=True)
class Stat:
    """An object's metadata; `sha256` in hexadecimal."""

    key: str
    size: int
    content_type: str
    sha256: str
    modified: datetime


class Bucket:
    """The objects of one bucket. The client is synchronous: its calls wait on threads, as many as it has connections.

    Every call raises `Unavailable` if S3 is unavailable, refuses, or takes longer than `call_seconds`.
    """

    def __init__(self, settings: BlobSettings, threads: ThreadPoolExecutor) -> None:
        self._settings = settings
        self._name = settings.bucket
        self._threads = threads

    @cached_property
    def _client(self) -> "Minio":
        from minio import Minio
        from urllib3 import PoolManager, Timeout

        settings, address = self._settings, urlsplit(self._settings.endpoint)
        limits = Timeout(connect=settings.connect_seconds, read=settings.read_seconds)
        return Minio(
            endpoint=address.netloc,
            access_key=settings.access_key.get_secret_value(),
            secret_key=settings.secret_key.get_secret_value(),
            secure=address.scheme == "https",
            region=settings.region,
            http_client=PoolManager(
                timeout=limits, retries=2, maxsize=settings.connections, ca_certs=settings.ca and str(settings.ca)
            ),
        )

    async def prepare(self) -> None:
        """Create the bucket where it is missing; a readiness check."""
        await self._call(self._prepare)

    async def put(self, key: str, content: bytes, content_type: str) -> None:
        """Store an object; one with the same key is replaced. S3 compares the bytes with their signed digest."""
        await self._call(self._put, key, content, content_type)

    async def get(self, key: str) -> bytes | None:
        """The object's bytes, or None. Raises `ChecksumMismatch` when they don't match the digest stored with them."""
        return await self._call(self._get, key)

    async def named(self, key: str) -> bytes:
        """The bytes of an object that a document names. Raises `NotFound` when it is missing, and logs it."""
        return existing(key, await self.get(key))

    async def stat(self, key: str) -> Stat | None:
        """The object's metadata, or None."""
        return await self._call(self._stat, key)

    async def delete(self, key: str) -> None:
        """Remove the object; one that is not there is no error."""
        await self._call(self._delete, key)

    async def discard(self, key: str) -> None:
        """Remove an orphaned object; if S3 is unavailable, the sweeper removes it later."""
        try:
            await self.delete(key)
        except Unavailable:
            logger.warning("orphaned object not removed", object=key)

    async def keys(self, prefix: str) -> list[str]:
        """All keys that begin with `prefix`, in order."""
        return await self._call(self._keys, prefix)

    async def older(self, prefix: str, than: datetime) -> dict[str, bool]:
        """All keys that begin with `prefix`, and whether they were last written before `than`."""
        return {key: at < than for key, at in (await self.written(prefix)).items()}

    async def written(self, prefix: str) -> dict[str, datetime]:
        """All keys that begin with `prefix`, in order, and when each was last written."""
        return await self._call(self._written, prefix)

    async def _call(self, act: Callable[..., T], *arguments: object) -> T:
        try:
            async with asyncio.timeout(self._settings.call_seconds):
                return await asyncio.get_running_loop().run_in_executor(
                    self._threads, _translate_errors, act, *arguments
                )
        except TimeoutError as error:
            raise Unavailable("S3") from error

    def _put(self, key: str, content: bytes, content_type: str) -> None:
        digest: dict[str, str | list[str] | tuple[str]] = {DIGEST: hashlib.sha256(content).hexdigest()}
        self._client.put_object(self._name, key, BytesIO(content), len(content), content_type, digest)

    def _delete(self, key: str) -> None:
        self._client.remove_object(self._name, key)

    def _prepare(self) -> None:
        from minio.error import S3Error

        if self._client.bucket_exists(self._name):
            return
        try:
            self._client.make_bucket(self._name)
        except S3Error as error:  # another process created it first
            if error.code not in ALREADY_EXISTS:
                raise

    def _get(self, key: str) -> bytes | None:
        with _none_if_missing(), closing(self._client.get_object(self._name, key)) as response:
            content: bytes = response.read()
            response.release_conn()
            if hashlib.sha256(content).hexdigest() != response.headers.get(DIGEST):
                raise ChecksumMismatch(key)
            return content
        return None

    def _stat(self, key: str) -> Stat | None:
        with _none_if_missing():
            found = self._client.stat_object(self._name, key)
            metadata, modified = found.metadata or {}, found.last_modified or datetime.min
            return Stat(key, found.size or 0, found.content_type or "", metadata.get(DIGEST, ""), modified)
        return None

    def _keys(self, prefix: str) -> list[str]:
        found = self._client.list_objects(self._name, prefix, recursive=True)
        return sorted(str(one.object_name) for one in found)  # SeaweedFS lists folder by folder: b/c before b-c

    def _written(self, prefix: str) -> dict[str, datetime]:
        found = self._client.list_objects(self._name, prefix, recursive=True)
        written = {str(one.object_name): one.last_modified or datetime.now(UTC) for one in found}
        return dict(sorted(written.items()))


def existing(key: str, content: bytes | None) -> bytes:
    """The content of an object that a document names. Raises `NotFound` when it is missing, and logs it."""
    if content is None:
        logger.error("object missing", object=key)
        raise NotFound
    return content


@contextmanager
def _none_if_missing() -> Iterator[None]:
    from minio.error import S3Error

    try:
        yield
    except S3Error as error:
        if error.code not in MISSING:
            raise


def _translate_errors(act: Callable[..., T], *arguments: object) -> T:
    from minio.error import MinioException
    from urllib3.exceptions import HTTPError

    try:
        return act(*arguments)
    except (MinioException, HTTPError, OSError) as error:
        raise Unavailable("S3") from error


@asynccontextmanager
async def connect(settings: BlobSettings) -> AsyncIterator[Bucket]:
    """The service's bucket. Connects lazily: opening never fails."""
    with threads_of(settings) as threads:
        yield Bucket(settings, threads)


@contextmanager
def threads_of(settings: BlobSettings) -> Iterator[ThreadPoolExecutor]:
    """The threads on which the calls of a bucket wait."""
    threads = ThreadPoolExecutor(settings.connections, "s3")
    try:
        yield threads
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
