"""The files of a backup: encrypted, checked, pruned by rule; and a dump that is made while everything is written."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from deploy.backup.check import Checked, check
from deploy.backup.dump import Databases
from deploy.backup.encryption import Decryption, Encryption, InvalidKey, new_identity
from deploy.backup.files import Dump, Manifest, Unusable, all_dumps, new_name
from deploy.backup.restore import fill
from deploy.backup.retention import kept, prune, remove_incomplete
from deploy.backup.settings import BackupSettings, Keep
from deploy.backup.storage import InBucket, Storage
from deploy.local.secrets import random_key
from kit import mongo
from kit.files import blobs
from kit.mongo import Database
from tests.support.backups import Destination
from tests.support.names import own_name, seeded
from tests.support.scale import scaled
from tests.support.stack import RunningStack

PAIRS, WRITERS = scaled(20_000, 2_000), 4
NOON = datetime(2026, 11, 29, 4, tzinfo=UTC)
DAY = timedelta(days=1)
OTHER_IDS: list[object] = [*range(2_000), *(f"text-{number}" for number in range(2_000)), ObjectId(), NOON]
"""Ids of several types, as those of migrations are numbers; more than one range of them."""


@pytest.fixture
def destination(tmp_path: Path) -> Destination:
    return Destination.below(tmp_path)


async def test_nothing_in_a_dump_is_readable_without_the_identity(destination: Destination) -> None:
    await destination.made()
    encrypted = destination.files("*.age")
    assert len(encrypted) == 2
    assert all(path.read_bytes().startswith(b"age-encryption.org/v1") for path in encrypted)
    recipients = [path for path in destination.files("*") if destination.recipient.encode() in path.read_bytes()]
    assert recipients == [], "who has a copy of the backup can't encrypt to its recipient"


async def test_a_dump_is_checked_with_and_without_the_identity(destination: Destination) -> None:
    dump = await destination.made()
    expected = Checked(pieces=1, documents=3, objects=1)
    assert await check(dump) == expected
    assert await check(dump, destination.decryption) == expected


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize("pattern", ["*.bson.gz.age", "attachments.txt", "*.*.*.age"])
async def test_a_damaged_or_missing_file_is_found(
    destination: Destination, damage: Callable[[Path], None], pattern: str
) -> None:
    dump = await destination.made()
    (path,) = [path for path in destination.files(pattern) if "objects" in str(path) or "bson" in pattern]
    damage(path)
    with pytest.raises(Unusable, match=r"is damaged|is missing"):
        await check(dump)


async def test_another_identity_can_not_read_it(destination: Destination, tmp_path: Path) -> None:
    dump = await destination.made()
    other = tmp_path / "other.txt"
    other.write_text(new_identity()[0])
    assert await check(dump)
    with pytest.raises(Unusable, match="can't be read with this identity"):
        await check(dump, Decryption(other))


async def test_each_of_several_recipients_can_read_it(destination: Destination, tmp_path: Path) -> None:
    identities = [tmp_path / "one", tmp_path / "two"]
    recipients = []
    for path in identities:
        secret, recipient = new_identity()
        path.write_text(secret)
        recipients.append(recipient)
    packed = await Encryption(recipients).pack(b"text")
    assert [await Decryption(path).unpack(packed) for path in identities] == [b"text", b"text"]


async def test_fewer_documents_than_the_manifest_says_are_found(destination: Destination) -> None:
    dump = destination.dump()
    piece = await dump.put("documents/records.records.000000.bson.gz.age", await destination.encryption.pack(b""), 1)
    documents = {"records": {"records": [piece]}}
    await dump.complete(
        Manifest(began_at=NOON, as_of=NOON, seconds=1, documents=documents, changes={}, objects={})
    )  # fmt: skip
    assert await check(dump)
    with pytest.raises(Unusable, match="has 0 documents, the manifest says 1"):
        await check(dump, destination.decryption)


async def test_a_changed_manifest_is_refused(destination: Destination) -> None:
    dump = await destination.made()
    (manifest,) = destination.files("manifest.json")
    manifest.write_text(manifest.read_text().replace('"documents": 3', '"documents": 2'))
    with pytest.raises(Unusable, match="not signed with BACKUP__KEY"):
        await check(dump)


async def test_a_manifest_of_another_dump_is_refused(destination: Destination) -> None:
    """An old dump can't be passed off as a new one."""
    await destination.made(NOON)
    later = await destination.made(NOON + DAY)
    for name in ("manifest.json", "manifest.hmac"):
        old, new = destination.files(name)
        new.write_bytes(old.read_bytes())
    with pytest.raises(Unusable, match="not signed"):
        await check(later)


@pytest.mark.parametrize(("folder", "content"), [("dumps/", '{"format": 3}'), ("", '{"began_at": "2026-11-24"}')])
async def test_a_dump_of_another_format_is_refused_in_a_sentence(
    destination: Destination, folder: str, content: str
) -> None:
    """Earlier releases wrote their dumps elsewhere, without a number."""
    path = destination.folder / f"{folder}{new_name(NOON)}" / "manifest.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(Unusable, match=r"has format \d, this release reads 2: use the release that wrote it"):
        await check(destination.dump(NOON))


def test_keys_that_are_none_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidKey, match="age1"):
        Encryption(["ssh-ed25519 AAAA"])
    for text in ("", "# only a comment\n", "age1notasecret"):
        (tmp_path / "identity").write_text(text)
        with pytest.raises(InvalidKey, match="has no identity of age"):
            Decryption(tmp_path / "identity")


def days(*numbers: int) -> list[str]:
    return [new_name(NOON - number * DAY) for number in numbers]


def test_of_each_period_the_newest_dump_is_kept() -> None:
    dumps = days(*range(400))
    rule = Keep(latest=1, daily=7, weekly=4, monthly=12)
    found = sorted(kept(dumps, rule), reverse=True)
    assert found[:7] == days(*range(7))
    assert len(found) == 7 + 3 + 11, "a week and a month that the days before have are the same dumps"
    assert kept(dumps, Keep(latest=2, daily=0, weekly=0, monthly=0)) == set(days(0, 1))


def test_the_newest_dump_is_kept_however_old_it_is() -> None:
    assert kept(days(900, 901), Keep(latest=1, daily=1, weekly=1, monthly=1)) == set(days(900))
    assert kept([], Keep()) == set()


def test_two_dumps_of_a_day_count_once() -> None:
    hours = [new_name(NOON - timedelta(hours=number)) for number in range(3)]
    assert kept(hours, Keep(latest=1, daily=5, weekly=0, monthly=0)) == {hours[0]}


@pytest.mark.parametrize(
    ("every", "hour", "due"),
    [(24, 2, "2026-11-28T18:00"), (6, 2, "2026-11-29T00:00"), (1, 0, "2026-11-29T04:00"), (24, 13, "2026-11-28T05:00")],
)
def test_a_dump_is_due_at_its_hours_of_the_citys_day(every: int, hour: int, due: str) -> None:
    _, recipient = new_identity()
    settings = BackupSettings.model_validate(
        {"recipients": [recipient], "key": random_key(), "every_hours": every, "from_hour": hour}
    )
    assert settings.due(NOON) == datetime.fromisoformat(due).replace(tzinfo=UTC)


@asynccontextmanager
async def opened(kind: str, destination: Destination, request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    if kind == "folder":
        yield destination.storage
    else:
        stack: RunningStack = request.getfixturevalue("stack")
        async with blobs.connect(stack.blobs(own_name("backups"))) as bucket:
            await bucket.prepare()
            yield InBucket(bucket)


@pytest.mark.parametrize("kind", ["folder", "bucket"])
async def test_pruning_leaves_what_remaining_dumps_name(
    destination: Destination, kind: str, request: pytest.FixtureRequest
) -> None:
    async with opened(kind, destination, request) as storage:
        old, new = [
            await destination.made(NOON + number * DAY, storage, photo) for number, photo in enumerate(("old", "new"))
        ]
        half = destination.dump(NOON + 2 * DAY, storage)
        await half.put("documents/records.records.000000.bson.gz.age", b"", 0)
        assert await all_dumps(storage) == {old.name: True, new.name: True, half.name: False}
        assert await remove_incomplete(storage, destination.key) == 1
        assert await prune(storage, destination.key, Keep(latest=1, daily=1, weekly=0, monthly=0)) == 1
        assert await all_dumps(storage) == {new.name: True}
        assert await check(new, destination.decryption)
        assert [name.split(".")[0] for name in await storage.names("objects")] == ["objects/attachments/scans/new"]
        assert await storage.get("dumps/missing") is None
        await new.remove()


async def test_no_object_is_removed_while_a_remaining_dump_can_not_be_read(destination: Destination) -> None:
    await destination.made(NOON, photo="old")
    await destination.made(NOON + DAY, photo="new")
    flip(destination.files("attachments.txt")[1])
    rule = Keep(latest=1, daily=0, weekly=0, monthly=0)
    assert await prune(destination.storage, destination.key, rule) == 1
    assert len(destination.files("objects/**/*.age")) == 2


class Pairs:
    """Two databases. Each pair is a document in each, of the same version, or the left one is one version ahead."""

    def __init__(self, left: Database, right: Database) -> None:
        self.left, self.right = left["pairs"], right["pairs"]
        self.acknowledged = dict[str, int]()
        self.removed = set[str]()

    async def write(self, pair: str) -> None:
        version = self.acknowledged.get(pair, 0) + 1
        for side in (self.left, self.right):
            document = {"_id": pair, "version": version, "text": "x" * 200}
            await side.replace_one({"_id": pair}, document, upsert=True)
        self.acknowledged[pair] = version

    async def remove(self, pair: str) -> None:
        self.removed.add(pair)
        for side in (self.right, self.left):
            await side.delete_one({"_id": pair})

    async def churn(self, rng: random.Random, writer: int) -> None:
        """Writes pairs of this writer until cancelled: existing and new ones, and removes some."""
        while True:
            pair = f"{rng.randrange(PAIRS * 2 // WRITERS) * WRITERS + writer:06}"
            if pair in self.removed:
                continue
            await (self.remove(pair) if rng.random() < 0.1 and pair in self.acknowledged else self.write(pair))

    async def versions(self) -> tuple[dict[str, int], dict[str, int]]:
        left, right = [
            {found["_id"]: found["version"] async for found in side.find({}, {"version": True})}
            for side in (self.left, self.right)
        ]
        return left, right


@asynccontextmanager
async def two_databases(stack: RunningStack) -> AsyncIterator[list[Database]]:
    names = [own_name("left"), own_name("right")]
    async with mongo.connect(stack.mongo, "dumped") as database:
        databases = [database.client.get_database(name, write_concern=database.write_concern) for name in names]
        yield databases
        for name in names:
            await database.client.drop_database(name)


async def dumped(dump: Dump, destination: Destination, databases: list[Database]) -> Manifest:
    """As `deploy.backup.dump` does it, in small pieces."""
    reader = Databases(databases[0], dump, destination.encryption, piece_bytes=20_000)
    since = await mongo.cluster_time(databases[0])
    documents = {}
    for each in databases:
        documents[each.name] = await reader.documents(each.name, [], since)
        await asyncio.sleep(0.5)
    until = await mongo.cluster_time(databases[0])
    changes = {each.name: await reader.changes(each.name, [], since, until) for each in databases}
    return Manifest(began_at=NOON, as_of=NOON, seconds=1, documents=documents, changes=changes, objects={})


async def test_a_dump_made_under_writes_is_the_state_of_one_moment(
    stack: RunningStack, destination: Destination
) -> None:
    rng = seeded()
    async with two_databases(stack) as databases:
        pairs = Pairs(*databases)
        begin: list[dict[str, Any]] = [{"_id": f"{n:06}", "version": 1, "text": "x" * 200} for n in range(PAIRS)]
        for side in (pairs.left, pairs.right):
            await side.insert_many(begin)
        pairs.acknowledged = {each["_id"]: 1 for each in begin}
        await databases[0]["other_ids"].insert_many([{"_id": each} for each in OTHER_IDS])
        dump = destination.dump()
        writers = [asyncio.create_task(pairs.churn(random.Random(rng.random()), number)) for number in range(WRITERS)]
        await asyncio.sleep(0.2)
        before, gone_before = dict(pairs.acknowledged), set(pairs.removed)
        manifest = await dumped(dump, destination, databases)
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        for database in databases:
            await database.client.drop_database(database.name)
            await fill(database, dump, manifest, destination.decryption)
        left, right = await pairs.versions()
        others = [each["_id"] async for each in databases[0]["other_ids"].find({})]
    changes = sum(piece.documents for pieces in manifest.changes.values() for piece in pieces)
    print(f"{len(left)} pairs, {changes} changes while they were dumped, {len(manifest.pieces)} pieces")
    assert changes > 50
    assert {str(each) for each in others} == {str(each) for each in OTHER_IDS}
    assert not [pair for pair, version in before.items() if pair not in pairs.removed and right.get(pair, 0) < version]
    assert not gone_before & right.keys()
    assert {left[pair] - right[pair] for pair in right} <= {0, 1}
    assert len(left.keys() - right.keys()) <= WRITERS, "a writer had written or removed only one side of its pair"
