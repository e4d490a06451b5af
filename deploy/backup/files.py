"""The files of a backup, all of them encrypted except lists and the manifest.

objects/<service>/<key>.<milliseconds>.<sha256>.age    shared by all dumps; the time of the object, the file's digest
dumps/<time>/documents/<service>.<collection>.<number>.bson.gz.age
dumps/<time>/changes/<service>.<number>.bson.gz.age    changes while the documents were read
dumps/<time>/objects/<service>.txt                     names of the objects
dumps/<time>/manifest.hmac, dumps/<time>/manifest.json (written last)
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ValidationError

from deploy.backup.storage import Storage
from kit.security.encryption import constant_time_equal, keyed_hash

DUMPS, OBJECTS, MANIFEST, SIGNATURE = "dumps", "objects", "manifest.json", "manifest.hmac"
FORMAT: Literal[2] = 2
SUFFIX = ".age"


class Unusable(Exception):
    """A dump that can't be used: incomplete, damaged, forged, or of another format."""


class Piece(BaseModel):
    """A file: its name below the dump's folder, how many documents (or names) it has, its size and its SHA-256."""

    name: str
    documents: int
    bytes: int
    sha256: str


class Manifest(BaseModel):
    """A complete dump. `as_of`: the moment of which it has the databases; `objects`: the lists, by service."""

    format: Literal[2] = FORMAT
    began_at: datetime
    as_of: datetime
    seconds: float
    documents: dict[str, dict[str, list[Piece]]]
    changes: dict[str, list[Piece]]
    objects: dict[str, Piece]

    @property
    def pieces(self) -> list[Piece]:
        """All files that have documents or changes."""
        ranges = [piece for of in self.documents.values() for pieces in of.values() for piece in pieces]
        return [*ranges, *(piece for pieces in self.changes.values() for piece in pieces)]

    @property
    def size(self) -> int:
        """The bytes of all files but the objects."""
        return sum(piece.bytes for piece in [*self.pieces, *self.objects.values()])

    @property
    def count(self) -> int:
        """How many documents it has, without the changes."""
        return sum(piece.documents for of in self.documents.values() for pieces in of.values() for piece in pieces)


def new_name(moment: datetime) -> str:
    """A dump's name."""
    return f"{moment:%Y-%m-%dT%H%M%S.%fZ}"


def time_of(name: str) -> datetime:
    """When a dump began. Raises `ValueError`."""
    return datetime.strptime(name, "%Y-%m-%dT%H%M%S.%fZ").replace(tzinfo=UTC)


class Dump:
    """The files of one dump."""

    def __init__(self, storage: Storage, name: str, key: bytes) -> None:
        self.storage, self.name, self._key = storage, name, key
        self._folder = f"{DUMPS}/{name}"

    async def put(self, name: str, content: bytes, documents: int) -> Piece:
        """Write a file."""
        await self.storage.put(f"{self._folder}/{name}", content)
        return Piece(
            name=name, documents=documents, bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
        )  # fmt: skip

    async def get(self, piece: Piece) -> bytes:
        """Read a file. Raises `Unusable`."""
        content = await self.storage.get(f"{self._folder}/{piece.name}")
        if content is None:
            raise Unusable(f"{self.name}/{piece.name} is missing")
        if hashlib.sha256(content).hexdigest() != piece.sha256:
            raise Unusable(f"{self.name}/{piece.name} is damaged: its digest is not the manifest's")
        return content

    async def complete(self, manifest: Manifest) -> None:
        """Write the manifest, signed: a dump without one is incomplete."""
        content = manifest.model_dump_json(indent=1)
        await self.storage.put(f"{self._folder}/{SIGNATURE}", self._signature(content).encode())
        await self.storage.put(f"{self._folder}/{MANIFEST}", content.encode())

    async def manifest(self) -> Manifest:
        """Read the manifest. Raises `Unusable`."""
        content = await self.storage.get(f"{self._folder}/{MANIFEST}")
        if content is None:
            content = await self.storage.get(f"{self.name}/{MANIFEST}")  # where earlier releases wrote it
        if content is None:
            raise Unusable(f"{self.name} has no manifest: there is no such dump, or it was not completed")
        signature = await self.storage.get(f"{self._folder}/{SIGNATURE}") or b""
        text = content.decode(errors="replace")
        _refuse_other_formats(self.name, text)
        if not constant_time_equal(signature.decode(errors="replace"), self._signature(text)):
            raise Unusable(f"the manifest of {self.name} is not signed with BACKUP__KEY: changed, or of another system")
        try:
            return Manifest.model_validate_json(text)
        except ValidationError as error:
            raise Unusable(f"the manifest of {self.name} can't be read: {error}") from error

    def _signature(self, manifest: str) -> str:
        return keyed_hash(self._key, f"{self.name}\n{manifest}")

    async def object_names(self, manifest: Manifest, service: str) -> list[str]:
        """The names of a service's objects in the dump. Raises `Unusable`."""
        return (await self.get(manifest.objects[service])).decode().splitlines()

    async def remove(self) -> None:
        """Remove all files; the manifest first, so that what is left after a failure is incomplete."""
        await self.storage.delete(f"{self._folder}/{MANIFEST}")
        for name in await self.storage.names(self._folder):
            await self.storage.delete(name)


def _refuse_other_formats(name: str, manifest: str) -> None:
    try:
        written = json.loads(manifest).get("format", 1)
    except (ValueError, AttributeError) as error:
        raise Unusable(f"the manifest of {name} is no JSON: it is damaged") from error
    if written != FORMAT:
        raise Unusable(f"{name} has format {written}, this release reads {FORMAT}: use the release that wrote it")


@dataclass(frozen=True)
class StoredObject:
    """An object's file: `name` has the key, when the object was written, and the SHA-256 of the encrypted file."""

    name: str
    key: str
    milliseconds: int
    sha256: str

    @classmethod
    def parse(cls, name: str, service: str) -> "StoredObject":
        """Read a name. Raises `Unusable`."""
        try:
            path, milliseconds, sha256 = name.removesuffix(SUFFIX).rsplit(".", 2)
            key = path.removeprefix(f"{OBJECTS}/{service}/")
            if not name.endswith(SUFFIX) or key == path:
                raise ValueError(name)
            return cls(name, key, int(milliseconds), sha256)
        except ValueError as error:
            raise Unusable(f"not the name of an object of {service}: {name!r}") from error

    @classmethod
    def of(cls, service: str, key: str, milliseconds: int, content: bytes) -> "StoredObject":
        """The name of an encrypted file."""
        sha256 = hashlib.sha256(content).hexdigest()
        return cls(f"{OBJECTS}/{service}/{key}.{milliseconds}.{sha256}{SUFFIX}", key, milliseconds, sha256)

    async def read(self, storage: Storage) -> bytes:
        """The encrypted file. Raises `Unusable`."""
        content = await storage.get(self.name)
        if content is None:
            raise Unusable(f"{self.name} is missing")
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise Unusable(f"{self.name} is damaged: its digest is not the one in its name")
        return content


async def all_dumps(storage: Storage) -> dict[str, bool]:
    """The names of all dumps, in order, and whether each is complete."""
    found = dict[str, bool]()
    for file in await storage.names(DUMPS):
        _, name, path = file.split("/", 2)
        found[name] = found.get(name, False) or path == MANIFEST
    return found
