"""The files of a backup: BSON in mongodump's format, objects under their keys, and a manifest with digests.

<root>/objects/<service>/<key>    shared by all dumps; its time is when the object was written
<root>/objects/<service>.sha256   their digests, as `sha256sum` writes them; the last line of a key is valid
<root>/<time>/<database>/<collection>.bson, <root>/<time>/<service>.keys, <root>/<time>/manifest.json (written last)
"""

import hashlib
import os
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel

CHUNK_BYTES = 1 << 20
KEY = re.compile(r"[A-Za-z0-9._/-]{1,1024}")
MANIFEST, OBJECTS = "manifest.json", "objects"


class ChecksumMismatch(Exception):
    """A file of the backup differs from what was written, or is missing."""


class Written(BaseModel):
    """A collection's file: how many documents, and its SHA-256."""

    documents: int
    sha256: str


class Manifest(BaseModel):
    """Describes a complete dump: when it began, its collections by database, the number of objects by service."""

    began_at: datetime
    seconds: float
    databases: dict[str, dict[str, Written]]
    objects: dict[str, int]

    @classmethod
    def read(cls, dump: Path) -> "Manifest":
        """Read a dump's manifest. Raises `ChecksumMismatch` when the dump was not completed."""
        if not (dump / MANIFEST).exists():
            raise ChecksumMismatch(f"{dump} has no manifest: this dump was not completed")
        return cls.model_validate_json((dump / MANIFEST).read_text())


async def write_documents(path: Path, documents: AsyncIterator[bytes]) -> Written:
    """Write BSON documents one after the other. Returns their number and the SHA-256 of the file."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest, count = hashlib.sha256(), 0
    with path.open("xb") as file:
        async for document in documents:
            file.write(document)
            digest.update(document)
            count += 1
        file.flush()
        os.fsync(file.fileno())
    return Written(documents=count, sha256=digest.hexdigest())


def read_documents(path: Path) -> Iterator[bytes]:
    """Yield the documents that `write_documents` wrote: each begins with its length in bytes."""
    with path.open("rb") as file:
        while head := file.read(4):
            yield head + file.read(int.from_bytes(head, "little") - 4)


def check(path: Path, written: Written) -> None:
    """Raise `ChecksumMismatch` unless the file is as it was written."""
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != written.sha256:
            raise ChecksumMismatch(str(path))


SETTLED = timedelta(seconds=5)


class Objects:
    """The objects of a service, kept once for all dumps."""

    def __init__(self, root: Path, service: str) -> None:
        self.folder = root / OBJECTS / service
        self._digests = root / OBJECTS / f"{service}.sha256"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def has(self, key: str, written: datetime | None = None) -> bool:
        """Whether this object was copied as of `written` or later: a re-encrypted object keeps its key."""
        path = self._path(key)
        return path.exists() and (written is None or path.stat().st_mtime_ns >= _nanoseconds(written))

    def _path(self, key: str) -> Path:
        """Return the object's path. Raises `ChecksumMismatch` for a key that leaves the folder, like `../x`."""
        if not KEY.fullmatch(key) or {"", ".", ".."} & set(key.split("/")):
            raise ChecksumMismatch(f"invalid object key: {key!r}")
        return self.folder / key

    def keep(self, key: str, content: bytes, written: datetime) -> None:
        """Store a copy atomically. An object that was written just now is copied again by the next dump.

        S3 has times in seconds, so another write within the same second would go unnoticed.
        """
        if datetime.now(UTC) - written < SETTLED:
            written -= SETTLED
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"{path.name}.new")
        fresh.write_bytes(content)
        os.utime(fresh, ns=(_nanoseconds(written), _nanoseconds(written)))
        with self._digests.open("a") as digests:
            digests.write(f"{hashlib.sha256(content).hexdigest()}  {path.relative_to(self._digests.parent)}\n")
        fresh.rename(path)

    def digests(self) -> dict[str, str]:
        """Return SHA-256 by key; the last line of a key is valid."""
        if not self._digests.exists():
            return {}
        lines = (line.split("  ", 1) for line in self._digests.read_text().splitlines())
        return {path.partition("/")[2]: digest for digest, path in lines}

    def get(self, key: str, digest: str | None) -> bytes:
        """Return the object. Raises `ChecksumMismatch`."""
        content = self._path(key).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise ChecksumMismatch(key)
        return content

    def all(self) -> list[str]:
        """Return the keys of all copies."""
        return [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()]

    def drop(self, key: str) -> None:
        """Remove the copy of an object that no dump names."""
        self._path(key).unlink()


def _nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000) * 1_000_000
