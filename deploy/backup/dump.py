"""Dump all databases as of one moment, and the objects that their documents name.

Documents are read by ranges of their ids, each range as of its own moment, then the changes since the beginning, as the
oplog has them: repeated in order, they make all documents those of the moment at which the reading of changes began.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from deploy.backup.encryption import Encryption
from deploy.backup.files import OBJECTS, Dump, Manifest, Piece, StoredObject, new_name
from deploy.backup.plan import PLANS, WITH_BUCKET
from deploy.backup.settings import DumpSettings
from deploy.backup.storage import Storage
from kit import mongo
from kit.files import blobs
from kit.files.blobs import Bucket, ChecksumMismatch
from kit.mongo import ClusterTime, Database, archive
from kit.observability import log

PIECE_BYTES = 8 * 1024 * 1024
AT_ONCE = 8
SETTLED = timedelta(seconds=5)
logger = log.get(__name__)
Names = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Dumped:
    """A complete dump, and the names of the objects that were copied for it; the others were there."""

    dump: Dump
    manifest: Manifest
    copied: frozenset[str]


async def dump(settings: DumpSettings, storage: Storage) -> Dumped:
    """Write a dump; everything may be running.

    Objects are copied before and after the databases, so every object that a dumped document names is in the dump,
    unless it was written and deleted while the dump was made.
    """
    began, clock = datetime.now(UTC), time.monotonic()
    encryption = Encryption(settings.backup.recipients)
    written = Dump(storage, new_name(began), settings.backup.key)
    objects = Objects(settings, storage, encryption)
    await objects.copy()
    async with mongo.connect(settings.mongo, "backup") as database:
        databases = Databases(database, written, encryption)
        since = await mongo.cluster_time(database)
        documents = {
            service: await databases.documents(service, plan.fleeting, since) for service, plan in PLANS.items()
        }
        as_of, until = datetime.now(UTC), await mongo.cluster_time(database)
        changes = {
            service: await databases.changes(service, plan.fleeting, since, until) for service, plan in PLANS.items()
        }
    await objects.copy()
    lists = {service: await _list(written, service, names) for service, names in objects.names.items()}
    seconds = round(time.monotonic() - clock, 2)
    manifest = Manifest(
        began_at=began, as_of=as_of, seconds=seconds, documents=documents, changes=changes, objects=lists
    )  # fmt: skip
    await written.complete(manifest)
    return Dumped(written, manifest, frozenset(objects.copied))


async def _list(written: Dump, service: str, names: dict[str, str]) -> Piece:
    text = "".join(f"{name}\n" for name in sorted(names.values()))
    return await written.put(f"{OBJECTS}/{service}.txt", text.encode(), len(names))


class Databases:
    """Reads the services' databases and writes them in pieces, one of which is in memory at a time."""

    def __init__(
        self, database: Database, written: Dump, encryption: Encryption, piece_bytes: int = PIECE_BYTES
    ) -> None:
        self._client, self._piece_bytes = database.client, piece_bytes
        self._written, self._encryption = written, encryption

    async def documents(self, service: str, without: Sequence[str], since: ClusterTime) -> dict[str, list[Piece]]:
        """Write all collections but those `without`, each document as of `since` or later."""
        database = self._client.get_database(service)
        names = [name for name in await archive.collections(database) if name not in without]
        return {name: await self._collection(database, name, since) for name in names}

    async def _collection(self, database: Database, name: str, since: ClusterTime) -> list[Piece]:
        pieces, after = list[Piece](), None
        while found := await archive.read_range(database, name, after, since, self._piece_bytes):
            path = f"documents/{database.name}.{name}"
            pieces.append(await self._piece(path, len(pieces), found.content, found.documents))
            after = found.last
        return pieces

    async def changes(
        self, service: str, without: Sequence[str], since: ClusterTime, until: ClusterTime
    ) -> list[Piece]:
        """Write what has changed from `since` until `until`."""
        database = self._client.get_database(service)
        pieces, content, count = list[Piece](), bytearray(), 0
        async for entry in archive.read_changes(database, since, until, without):
            content += entry
            count += 1
            if len(content) >= self._piece_bytes:
                pieces.append(await self._piece(f"changes/{service}", len(pieces), bytes(content), count))
                content, count = bytearray(), 0
        if content:
            pieces.append(await self._piece(f"changes/{service}", len(pieces), bytes(content), count))
        return pieces

    async def _piece(self, path: str, number: int, content: bytes, documents: int) -> Piece:
        packed = await self._encryption.pack(content)
        return await self._written.put(f"{path}.{number:06}.bson.gz.age", packed, documents)


class Objects:
    """Copies objects that are new or were rewritten since their copy.

    `names`: of all files, by service and key; `copied`: of the new ones.
    """

    def __init__(self, settings: DumpSettings, storage: Storage, encryption: Encryption) -> None:
        self.names: Names = {service: {} for service in WITH_BUCKET}
        self.copied = set[str]()
        self._settings, self._storage, self._encryption = settings, storage, encryption
        self._known = dict[str, dict[str, StoredObject]]()

    async def copy(self) -> None:
        """Copy all buckets."""
        for service in WITH_BUCKET:
            if service not in self._known:
                self._known[service] = await stored_objects(self._storage, service)
            async with blobs.connect(self._settings.blobs.of(service)) as bucket:
                objects = iter((await bucket.written("")).items())
                while some := list(islice(objects, AT_ONCE)):
                    await asyncio.gather(*(self._one(service, bucket, key, at) for key, at in some))

    async def _one(self, service: str, bucket: Bucket, key: str, written: datetime) -> None:
        known = self._known[service].get(key)
        if known is None or known.milliseconds < _milliseconds(written):
            try:
                content = await bucket.get(key)
            except ChecksumMismatch:  # an earlier copy stays in the dump
                logger.error("checksum mismatch", object=key, service=service)
                content = None
            if content is not None:
                known = await self._put(service, key, written, content)
        if known:
            self.names[service][key] = known.name

    async def _put(self, service: str, key: str, written: datetime, content: bytes) -> StoredObject:
        """Store a copy. An object that was written just now is copied again by the next dump.

        S3 has times in seconds, so another write within the same second would go unnoticed.
        """
        if datetime.now(UTC) - written < SETTLED:
            written -= SETTLED
        encrypted = await self._encryption.encrypt(content)
        stored = StoredObject.of(service, key, _milliseconds(written), encrypted)
        await self._storage.put(stored.name, encrypted)
        self._known[service][key] = stored
        self.copied.add(stored.name)
        return stored


async def stored_objects(storage: Storage, service: str) -> dict[str, StoredObject]:
    """The newest copy of each object, by key."""
    found = dict[str, StoredObject]()
    for name in await storage.names(f"{OBJECTS}/{service}"):
        stored = StoredObject.parse(name, service)
        if stored.key not in found or found[stored.key].milliseconds < stored.milliseconds:
            found[stored.key] = stored
    return found


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
