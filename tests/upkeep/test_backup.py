"""Backup, wipe, restore, on the running stack: nothing written before the dump is lost, all services agree again."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from deploy.backup.files import StoredObject, Unusable
from deploy.backup.plan import PLANS, PUBLISHING
from deploy.backup.restore import restore
from kit import kafka, mongo
from kit.files import blobs
from kit.kafka import Record
from services.identity.wiring.shared import Dependencies
from tests.attachments.conftest import Uploader
from tests.support.backups import Backups, Destination
from tests.support.erasure import Colleague, forge, have_erased
from tests.support.identity_clients import WINDOW, Citizen, Window
from tests.support.names import own_name
from tests.support.people import EDUCATION, Person
from tests.support.problems import problem
from tests.support.processes import Processes
from tests.support.scale import scaled
from tests.support.scans import scan
from tests.support.stack import RunningStack
from tests.support.stored_data import BUCKETS
from tests.support.waiting import eventually

pytestmark = pytest.mark.all_data
RECORDS = scaled(10_000, 300)
AT_ONCE = 8
LEFT_SECRET = "of-a-client-that-left-after-the-dump"
PROGRAMS = [f"{service}-{role}" for service in PLANS for role in ("api", "worker")]
Versions = dict[str, int]


@dataclass
class Store:
    """A subscriber's store, kept as docs/events.md describes, for these people only."""

    people: set[str]
    versions: Versions = field(default_factory=dict)

    def take(self, record: Record) -> None:
        headers = {name: value.decode() for name, value in record.headers}
        if headers["ce_partitionkey"] not in self.people or headers["ce_type"].endswith("erased.v1"):
            return
        identity, version = headers["ce_subject"], int(headers["ce_sequence"])
        if record.value is None:
            self.versions.pop(identity, None)
        else:
            self.versions[identity] = max(version, self.versions.get(identity, 0))


async def subscribed(stack: RunningStack, service: str, people: set[str]) -> Versions:
    store = Store(people)
    await kafka.read_all(stack.kafka_settings(), [f"{service}.changes"], store.take)
    return store.versions


async def kept(stack: RunningStack, service: str, people: set[str]) -> Versions:
    """The service's own data."""
    found: Versions = {}
    query = {"$or": [{"_id": {"$in": [*people]}}, {"practitioner_id": {"$in": [*people]}}]}
    async with mongo.connect(stack.mongo, service) as database:
        for name in PLANS[service].published:
            async for document in database[name].find(query):
                found[document["_id"]] = document["version"]
    return found


async def agree(stack: RunningStack, people: set[str]) -> bool:
    """Whether the subscribers have what the services have; not every version of a message is published."""
    for service in PUBLISHING:
        has, downstream = await kept(stack, service, people), await subscribed(stack, service, people)
        same = has.keys() == downstream.keys() if service == "notify" else has == downstream
        if not same:
            return False
    return True


@pytest.fixture
def backups(stack: RunningStack, tmp_path: Path) -> Backups:
    return Backups(stack, Destination.below(tmp_path))


async def created(people: Sequence[Person], count: int) -> Versions:
    """`count` records, acknowledged."""
    room, versions = asyncio.Semaphore(AT_ONCE), Versions()

    async def create(person: Person) -> None:
        async with room:
            record = await person.created()
            versions[record["record_id"]] = record["version"]

    await asyncio.gather(*(create(people[number % len(people)]) for number in range(count)))
    return versions


async def wipe(stack: RunningStack) -> None:
    async with mongo.connect(stack.mongo, "wipe") as database:
        for service in PLANS:
            await database.client.drop_database(service)
    for name in BUCKETS:
        async with blobs.connect(stack.blobs(name)) as bucket:
            for key in await bucket.keys(""):
                await bucket.delete(key)


async def document(stack: RunningStack, service: str, collection: str, identity: str) -> dict[str, Any]:
    async with mongo.connect(stack.mongo, service) as database:
        return dict(await database[collection].find_one({"_id": identity}) or {})


@dataclass
class Story:
    """The people before the dump, what they had written, and what they wrote after it.

    `mine` is a record of `me`, the `citizen`, with a scan that was `sent`; `theirs` is one of `forgotten`, who is
    erased.
    """

    writers: list[Person]
    citizen: Citizen
    forgotten: Citizen
    me: Person
    uploader: Uploader
    mine: str
    theirs: str
    sent: str
    early: Versions
    waits: Citizen
    left: str
    owners: dict[str, Person] = field(default_factory=dict)
    late: Versions = field(default_factory=dict)
    newcomer: Citizen = field(default_factory=Citizen)

    @property
    def people(self) -> set[str]:
        return {person.id for person in (*self.writers, self.me)} | {self.newcomer.id} - {""}

    @property
    def changed(self) -> list[str]:
        """Records that are changed after the dump."""
        return [identity for identity in list(self.early)[: RECORDS // 10] if identity in self.owners]


async def before_the_dump(window: Window, inside: Dependencies, new_person: Callable[[], Person]) -> Story:
    writers = [new_person() for _ in range(20)]
    citizen, forgotten = await window.enrolled(), await window.enrolled()
    me, gone = (Person(writers[0].http, writers[0].issuer, each.id) for each in (citizen, forgotten))
    early = await created([*writers, me, gone], RECORDS)
    mine, theirs = str((await me.created())["record_id"]), str((await gone.created())["record_id"])
    uploader = Uploader(me)
    sent = str((await uploader.sent(mine, scan(seed=11)))["attachment_id"])
    await uploader.verdict(mine)
    waits = await window.registered()
    assert (await Colleague(me.http, me.issuer).asks(waits.id)).status_code == 202
    left = own_name("client")
    await inside.services.accounts.save_client(left, LEFT_SECRET, ["changes:read"], timedelta())
    return Story(writers, citizen, forgotten, me, uploader, mine, theirs, sent, early, waits, left)


async def after_the_dump(story: Story, stack: RunningStack, window: Window, inside: Dependencies) -> None:
    """Changes that are lost with the databases, except the erasure, which the topics keep."""
    await inside.services.accounts.switch_client(story.left, enabled=False)
    story.owners = {record["record_id"]: person for person in story.writers for record in await listed(person)}
    for identity in story.changed:
        await story.owners[identity].change(identity, 1, EDUCATION | {"major": "在备份之后"})
    story.late = await created(story.writers, RECORDS // 20)
    assert (await story.uploader.delete(story.mine)).status_code == 204
    assert (await window.rebind(story.citizen, "13900001111")).status_code == 200
    story.newcomer = await window.enrolled()
    await erase(story.me, story.forgotten, stack)
    await forge(stack, story.citizen.id, proof="made up")


async def wiped_and_restored(backups: Backups, processes: Processes, dump: str) -> None:
    stack = backups.stack
    async with processes.down(*PROGRAMS):
        await wipe(stack)
        print(await backups.restored(dump))
    for service in PLANS:
        for process in ("internal", "worker"):
            await processes.ready(stack.facts["services"][service][process], 90)


async def test_a_restored_backup_loses_nothing_written_before_it_and_everybody_agrees_again(
    backups: Backups, processes: Processes, window: Window, inside: Dependencies, new_person: Callable[[], Person]
) -> None:
    stack = backups.stack
    story = await before_the_dump(window, inside, new_person)
    await eventually(lambda: agree(stack, story.people), 120, "everything is published", pause=0.3)
    meanwhile = asyncio.create_task(created(story.writers, RECORDS // 5))
    dump = (await backups.command("dump")).split(" ")[0]
    await meanwhile
    await after_the_dump(story, stack, window, inside)
    await eventually(lambda: agree(stack, story.people), 60, "everything is published", pause=0.3)

    began = time.monotonic()
    await wiped_and_restored(backups, processes, dump)
    await eventually(lambda: agree(stack, story.people), 120, "who subscribed has what the services have", pause=0.3)
    print(f"{RECORDS} records: {time.monotonic() - began:.0f} s from the first stop until everybody agreed")

    await nothing_written_before_is_lost(story, stack)
    await nothing_comes_back_that_would_do_harm(story, stack, window)
    await created([story.me], 1)
    await eventually(lambda: agree(stack, story.people), 60, "work goes on", pause=0.3)


async def nothing_written_before_is_lost(story: Story, stack: RunningStack) -> None:
    has = await kept(stack, "records", story.people)
    assert not [identity for identity in story.early if identity in story.owners and identity not in has]
    assert not story.late.keys() & has.keys(), "what came after the dump is lost"
    assert story.changed
    for identity in story.changed:
        record = (await story.owners[identity].get(identity)).json()
        assert (record["data"]["major"], record["version"]) == (EDUCATION["major"], 3)
    assert (await story.uploader.look(story.mine)).json()["attachment_id"] == story.sent
    assert (await story.uploader.file(story.sent)).content.startswith(b"\xff\xd8\xff")
    assert not await document(stack, "identity", "practitioners", story.newcomer.id)


async def nothing_comes_back_that_would_do_harm(story: Story, stack: RunningStack, window: Window) -> None:
    assert await held_by(stack, story.forgotten) == set(), "who was erased after the dump stays erased"
    assert not await document(stack, "records", "records", story.theirs)
    assert await document(stack, "identity", "practitioners", story.citizen.id), "a forged erasure is not restored"
    problem(await token(window.clerk.http, story.left), 401, "invalid_client")
    waited = await Colleague(story.me.http, story.me.issuer).call("GET", story.waits.id)
    assert waited.json()["state"] == "stopped", "whether somebody stopped it after the dump, nobody knows"
    window.clerk.tokens = {}  # a backup has no sessions
    reason = {"X-Access-Reason": quote("核对备份")}
    bound = await window.clerk.call("GET", f"{WINDOW}/{story.citizen.id}/certificate", headers=reason)
    assert bound.json()["state"] == "revoked", "a phone that may have been lost opens nothing"
    assert (await window.issue(story.citizen)).status_code == 201


async def token(http: httpx2.AsyncClient, client: str) -> httpx2.Response:
    """The token response for a client that was disabled after the dump."""
    grant = {"grant_type": "client_credentials"}
    return await http.post("/api/identity/oauth/token", data=grant, auth=(client, LEFT_SECRET))


async def listed(person: Person) -> list[dict[str, Any]]:
    """All records of a person."""
    page = (await person.list(limit="200")).raise_for_status().json()
    found: list[dict[str, Any]] = page["items"]
    while page["next_cursor"]:
        page = (await person.list(limit="200", cursor=page["next_cursor"])).raise_for_status().json()
        found += page["items"]
    return found


async def erase(me: Person, citizen: Citizen, stack: RunningStack) -> None:
    await have_erased(me.http, me.issuer, citizen.id)

    async def gone() -> bool:
        return not await held_by(stack, citizen)

    await eventually(gone, 30, "they are erased")


async def held_by(stack: RunningStack, citizen: Citizen) -> set[str]:
    """The data that the services still serve of a person; waits for running erasures."""
    found = set[str]()
    for service in PLANS:
        found |= {f"{service}/{identity}" for identity in await kept(stack, service, {citizen.id})}
    return found


async def test_a_restore_overwrites_nothing(backups: Backups) -> None:
    await backups.dumped()
    with pytest.raises(AssertionError, match="has documents"):
        await backups.restored()


async def test_a_damaged_or_incomplete_dump_is_not_restored(backups: Backups) -> None:
    dump = await backups.dumped()
    decryption, settings = backups.destination.decryption, backups.restore_settings()
    file = backups.destination.files("records.records.*")[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(Unusable, match=r"records\.records.* is damaged"):
        await restore(settings, dump, decryption)
    backups.destination.files("manifest.json")[0].unlink()
    with pytest.raises(AssertionError, match="not completed"):
        await backups.restored(dump.name)


async def test_a_dump_is_checked_by_command(backups: Backups) -> None:
    dump = await backups.dumped()
    assert dump.name in await backups.command("list")
    digests = await backups.command("check")
    read = await backups.command("check", dump.name, "--identity", str(backups.destination.identity))
    assert digests.split(" (")[0] == read.split(" (")[0]
    assert digests.startswith(f"{dump.name}: ")


async def test_lost_objects_are_restored_while_everything_runs(backups: Backups, person: Person) -> None:
    uploader = Uploader(person)
    record = await uploader.record()
    sent = await uploader.sent(record, scan(seed=13))
    await uploader.verdict(record)
    picture = (await uploader.file(sent["attachment_id"])).content
    dump = await backups.dumped()
    async with blobs.connect(backups.stack.blobs("attachments")) as bucket:
        folder = (await document(backups.stack, "attachments", "attachments", sent["attachment_id"]))["folder"]
        for key in await bucket.keys(f"{folder}/"):
            await bucket.delete(key)
    assert (await uploader.file(sent["attachment_id"])).status_code == 404
    identity = str(backups.destination.identity)
    assert "3 objects" in await backups.command("files", dump.name, "--identity", identity)
    assert (await uploader.file(sent["attachment_id"])).content == picture


def copies(backups: Backups) -> set[str]:
    """The keys of attachments' objects in the backup."""
    names = [path.relative_to(backups.destination.folder).as_posix() for path in backups.destination.files("*.age")]
    return {StoredObject.parse(name, "attachments").key for name in names if name.startswith("objects/attachments/")}


async def test_old_dumps_are_removed_with_the_objects_that_only_they_name(backups: Backups, person: Person) -> None:
    uploader = Uploader(person)
    record = await uploader.record()
    await uploader.sent(record, scan(seed=12))
    await uploader.verdict(record)
    await backups.dumped()
    first = copies(backups)
    await uploader.delete(record)

    async def removed() -> bool:
        async with blobs.connect(backups.stack.blobs("attachments")) as bucket:
            return len(await bucket.keys("scans/")) < len(first)

    await eventually(removed, 20, "the scan's files are removed")
    await backups.dumped()
    assert copies(backups) == first
    keep = json.dumps({"latest": 1, "daily": 1, "weekly": 1, "monthly": 1})
    assert "removed 1 dumps" in await backups.command("prune", BACKUP__KEEP=keep)
    assert copies(backups) < first
