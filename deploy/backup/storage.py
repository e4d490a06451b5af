"""Where backups are kept: a folder, or a bucket of another S3 server."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from deploy.backup.settings import Destination
from kit.files import blobs
from kit.files.blobs import Bucket

NAME = re.compile(r"[A-Za-z0-9._/-]{1,1024}")
TEMPORARY = ".new"


class InvalidName(Exception):
    """A name that leaves the destination, like `../x`."""


class Storage(Protocol):
    """Files by name. A name has folders: `dumps/<time>/manifest.json`."""

    async def put(self, name: str, content: bytes) -> None:
        """Store a file: whole, or not at all."""

    async def get(self, name: str) -> bytes | None:
        """The file, or None."""

    async def delete(self, name: str) -> None:
        """Remove the file; one that is not there is no error."""

    async def names(self, folder: str) -> list[str]:
        """All names that begin with `folder/`, in order."""


class InFolder:
    """A folder: the disk of another machine, mounted here."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def _path(self, name: str) -> Path:
        """Return the file's path. Raises `InvalidName`."""
        if not NAME.fullmatch(name) or {"", ".", ".."} & set(name.split("/")):
            raise InvalidName(repr(name))
        return self._root / name

    async def put(self, name: str, content: bytes) -> None:
        """Store a file: whole, or not at all."""
        await asyncio.to_thread(_write, self._path(name), content)

    async def get(self, name: str) -> bytes | None:
        """The file, or None."""
        path = self._path(name)
        try:
            return await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            return None

    async def delete(self, name: str) -> None:
        """Remove the file, and its folders if they are empty."""
        path = self._path(name)
        path.unlink(missing_ok=True)
        for parent in path.relative_to(self._root).parents[:-1]:
            folder = self._root / parent
            if folder.exists() and any(folder.iterdir()):
                return
            if folder.exists():
                folder.rmdir()

    async def names(self, folder: str) -> list[str]:
        """All names that begin with `folder/`, in order."""
        return await asyncio.to_thread(_names, self._root, self._path(folder))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"{path.name}{TEMPORARY}")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


def _names(root: Path, folder: Path) -> list[str]:
    found = (path.relative_to(root).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if not name.endswith(TEMPORARY))


class InBucket:
    """A bucket, of another server and with credentials of its own."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def put(self, name: str, content: bytes) -> None:
        """Store a file: whole, or not at all."""
        await self._bucket.put(name, content, "application/octet-stream")

    async def get(self, name: str) -> bytes | None:
        """The file, or None. A damaged one is returned: its digest is compared by those who read it."""
        try:
            return await self._bucket.get(name)
        except blobs.ChecksumMismatch:
            return b""

    async def delete(self, name: str) -> None:
        """Remove the file; one that is not there is no error."""
        await self._bucket.delete(name)

    async def names(self, folder: str) -> list[str]:
        """All names that begin with `folder/`, in order."""
        return await self._bucket.keys(f"{folder}/")


@asynccontextmanager
async def connect(destination: Destination) -> AsyncIterator[Storage]:
    """The destination of the settings."""
    if destination.bucket is None:
        yield InFolder(destination.folder)
    else:
        async with blobs.connect(destination.bucket) as bucket:
            yield InBucket(bucket)
