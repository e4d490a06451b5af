"""Restore a dump: documents and objects come back, and whatever differs from the topics is published again."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from deploy.backup.check import check, decrypted, unpacked
from deploy.backup.encryption import Decryption
from deploy.backup.files import Dump, Manifest, StoredObject
from deploy.backup.latest_versions import LatestVersion, LatestVersions, latest_versions_of
from deploy.backup.plan import PLANS, PUBLISHING, Patch
from deploy.backup.settings import RestoreSettings
from kit import kafka, mongo
from kit.core.clock import to_milliseconds
from kit.core.documents import RESTORED, field_of
from kit.core.ids import is_id
from kit.files import blobs
from kit.kafka import Partition
from kit.mongo import Database, Fields, archive
from kit.mongo.removal import TOMBSTONES
from services.identity.audit.published_heads import restore_heads
from services.identity.audit.store import TrailStore
from services.identity.consumers import ACCESSES, AUDIT
from services.identity.erasures.domain import ErasureRequest, erasure_id
from services.identity.store import ERASURES

BY, IDENTITY = "command:restore", "identity"
BATCH = 500
SESSION_SECONDS = 60  # Kafka counts a stopped member until its session has timed out
TYPES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PN": "image/png"}


class NotEmpty(Exception):
    """A database already has documents; a restore never overwrites any."""


@dataclass
class Report:
    """What a restore did; `lost` by service: documents that are now older than their newest event, or gone."""

    documents: int
    objects: int
    lost: dict[str, list[str]]


async def restore(settings: RestoreSettings, dump: Dump, decryption: Decryption) -> Report:
    """Restore a dump into empty databases; no service may run. Raises `NotEmpty`, `Unusable`, `GroupInUse`."""
    manifest = await dump.manifest()
    await check(dump)
    for piece in manifest.pieces[:1]:  # another identity is refused before anything is changed
        await unpacked(dump, piece, await dump.get(piece), decryption)
    async with mongo.connect(settings.mongo, "restore") as any_database:
        client = any_database.client
        await _refuse_unless_empty([client.get_database(service) for service in PLANS])
        await _restart(settings)
        documents = sum([await fill(client.get_database(name), dump, manifest, decryption) for name in PLANS])
        objects = await put_objects(settings, dump, decryption)
        await restore_heads(settings.kafka, TrailStore(client.get_database(IDENTITY)))
        lost = {service: await _reconcile(settings, client.get_database(service), service) for service in PUBLISHING}
    return Report(documents, objects, lost)


async def _refuse_unless_empty(databases: Sequence[Database]) -> None:
    for database in databases:
        for name in await database.list_collection_names():
            if await database[name].find_one({}):
                raise NotEmpty(f"{database.name}.{name} has documents: drop the database first")


async def _restart(settings: RestoreSettings) -> None:
    """Reset the publishers, which then publish snapshots, and the groups that fill access logs and audit trail."""
    for service in PUBLISHING:
        group = f"{service}.publisher"
        async with kafka.admin(settings.kafka) as admin:
            count, _ = await admin.position(group)
        await _move(settings, group, {Partition(group, 0): (count, "")})
    for reader in (ACCESSES, AUDIT):
        events = {Partition(topic, number) for topic in reader.topics for number in range(settings.kafka.partitions)}
        await _move(settings, reader.name, dict.fromkeys(events, (0, "")))


async def _move(settings: RestoreSettings, group: str, to: Mapping[Partition, tuple[int, str]]) -> None:
    """Move the group as soon as it has no members."""
    until = monotonic() + SESSION_SECONDS
    while True:
        try:
            return await kafka.move_group(settings.kafka, group, to)
        except kafka.GroupInUse:
            if monotonic() > until:
                raise
        await asyncio.sleep(1)


async def fill(database: Database, dump: Dump, manifest: Manifest, decryption: Decryption) -> int:
    """Write a database's documents, then repeat the changes of the time in which they were dumped."""
    count = 0
    for collection, pieces in manifest.documents.get(database.name, {}).items():
        for piece in pieces:
            documents = await unpacked(dump, piece, await dump.get(piece), decryption)
            for begin in range(0, len(documents), BATCH):
                await archive.write_raw(database, collection, documents[begin : begin + BATCH])
            count += len(documents)
    for piece in manifest.changes.get(database.name, []):
        await archive.apply_changes(database, await unpacked(dump, piece, await dump.get(piece), decryption))
    return count


async def put_objects(settings: RestoreSettings, dump: Dump, decryption: Decryption) -> int:
    """Put back the files that are missing in the buckets. Returns how many. Raises `Unusable`."""
    manifest = await dump.manifest()
    return sum([await _put_missing(settings, dump, manifest, service, decryption) for service in manifest.objects])


async def _put_missing(
    settings: RestoreSettings, dump: Dump, manifest: Manifest, service: str, decryption: Decryption
) -> int:
    count = 0
    async with blobs.connect(settings.blobs.of(service)) as bucket:
        await bucket.prepare()
        there = set(await bucket.keys(""))
        for name in await dump.object_names(manifest, service):
            stored = StoredObject.parse(name, service)
            if stored.key not in there:
                content = await decrypted(stored, await stored.read(dump.storage), decryption)
                await bucket.put(stored.key, content, TYPES.get(content[:3], "application/octet-stream"))
                count += 1
    return count


async def _reconcile(settings: RestoreSettings, database: Database, service: str) -> list[str]:
    """Raise documents above the versions that subscribers have; write tombstones for those that were not restored."""
    newest, at = await latest_versions_of(settings.kafka, service), to_milliseconds(datetime.now(UTC))
    known = dict(newest.documents)
    lost = []
    for collection in PLANS[service].published:
        patch = PLANS[service].patches.get(collection, {})
        for identity in await _older(database, collection, known):
            await _raise(database, collection, identity, newest.documents[identity].version, at, patch)
            lost.append(f"{collection}/{identity}")
    for identity, latest in known.items():
        if not latest.removed:
            await _end(database, identity, latest, at)
            lost.append(f"gone/{identity}")
    if service == IDENTITY:
        await _stop_erasures(database, at)
        await _erase_again(database, newest, at)
    return lost


async def _older(database: Database, collection: str, known: dict[str, LatestVersion]) -> list[str]:
    """Return the ids of documents that are newer on the topic, or removed there; takes all it finds out of `known`."""
    older = []
    async for found in database[collection].find({}, {"version": True}):
        identity = field_of(found, "_id", str)
        latest = known.pop(identity, None)
        if latest and (latest.version > field_of(found, "version", int) or latest.removed):
            older.append(identity)
    return older


async def _raise(
    database: Database, collection: str, identity: str, version: int, at: datetime, patch: Patch
) -> None:  # fmt: skip
    document = await database[collection].find_one({"_id": identity})
    if document is not None:
        await database[collection].replace_one({"_id": identity}, raised(document, version, at, patch))


def raised(document: Fields, version: int, at: datetime, patch: Patch) -> dict[str, object]:
    """Return the document as the version after `version`, with the action `restored` in its history."""
    changes = [{"field": name, "old": document.get(name), "new": value} for name, value in patch.items()]
    entry = {"version": version + 1, "at": at, "by": BY, "action": RESTORED, "changes": changes}
    made = {"version": version + 1, "action": RESTORED, "author": BY, "changed": list(patch), "updated_at": at}
    return {**document, **patch, **made, "history": [*field_of(document, "history", list), entry]}


async def _end(database: Database, identity: str, latest: LatestVersion, at: datetime) -> None:
    tombstone = {"_id": identity, "practitioner_id": latest.person, "version": latest.version + 1, "updated_at": at}
    await database[TOMBSTONES].replace_one({"_id": identity}, tombstone, upsert=True)


async def _stop_erasures(database: Database, at: datetime) -> None:
    """Stop erasures that waited when the dump was made: they may have been stopped since the dump."""
    async for waiting in database[ERASURES].find({"state": {"$in": ["requested", "approved"]}}, {"version": True}):
        stopped = {"state": "stopped", "stop_reason": "恢复备份，请重新申请"}
        await _raise(database, ERASURES, field_of(waiting, "_id", str), field_of(waiting, "version", int), at, stopped)


async def _erase_again(database: Database, newest: LatestVersions, at: datetime) -> None:
    """Erase again every person who was ever erased: the dump may still contain them.

    An erasure that only the topic knows may be forged: identity checks its proof when it starts.
    """
    for identity, erasure in newest.erasures.items():
        known = await database[ERASURES].find_one({"_id": identity}, {"state": True})
        if known and known.get("state", "erased") == "erased":
            await _raise(database, ERASURES, identity, erasure.version, at, {})
        elif is_id(erasure.person) and identity == erasure_id(erasure.person):
            claimed = {"state": "restored", "proof": erasure.proof}
            if known is None:
                made = ErasureRequest.restored(erasure.person, erasure.proof, at=at, by=BY)
                await database[ERASURES].insert_one(made.model_dump(by_alias=True))
            await _raise(database, ERASURES, identity, erasure.version, at, claimed)
