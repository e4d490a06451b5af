"""Backup, wipe, restore, on the running stack: nothing written before the dump is lost, and everybody agrees again."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from deploy.backup.plan import PLANS, TELLING
from deploy.local.stack import ROOT
from kit import blobs, kafka, mongo
from kit.kafka import Record
from services.identity.wiring import Parts
from tests.attachments.conftest import Uploader
from tests.support.erasing import Colleague, forge, have_erased
from tests.support.names import own_name
from tests.support.people import EDUCATION, Person
from tests.support.problems import problem
from tests.support.processes import Processes
from tests.support.scale import scaled
from tests.support.scans import scan
from tests.support.stack import RunningStack
from tests.support.traces import BUCKETS
from tests.support.visits import WINDOW, Citizen, Window
from tests.support.waiting import eventually

RECORDS = scaled(10_000, 300)
AT_ONCE = 8
LEFT_SECRET = "of-a-client-that-left-after-the-dump"
PROGRAMS = [f"{service}-{role}" for service in PLANS for role in ("api", "worker")]
Versions = dict[str, int]


@dataclass
class Store:
    """What a subscriber keeps who does what docs/events.md says, of these people only."""

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
    """What the service itself has."""
    found: Versions = {}
    query = {"$or": [{"_id": {"$in": [*people]}}, {"practitioner_id": {"$in": [*people]}}]}
    async with mongo.connect(stack.mongo, service) as database:
        for name in PLANS[service].told:
            async for document in database[name].find(query):
                found[document["_id"]] = document["version"]
    return found


async def agree(stack: RunningStack, people: set[str]) -> bool:
    """Whether who subscribed has what the services have; of messages not every version is told."""
    for service in TELLING:
        has, told = await kept(stack, service, people), await subscribed(stack, service, people)
        same = has.keys() == told.keys() if service == "notify" else has == told
        if not same:
            return False
    return True


async def backup(stack: RunningStack, *arguments: str) -> str:
    """The command as an operator gives it."""
    environment = os.environ | stack.environment("attachments-worker")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.backup", *arguments, cwd=ROOT, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def created(people: Sequence[Person], count: int) -> Versions:
    """So many records, acknowledged."""
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


async def test_a_restored_backup_loses_nothing_written_before_it_and_everybody_agrees_again(
    stack: RunningStack, processes: Processes, window: Window, inside: Parts,
    new_person: Callable[[], Person], tmp_path: Path,
) -> None:  # fmt: skip
    writers = [new_person() for _ in range(20)]
    citizen, forgotten = await window.enrolled(), await window.enrolled()
    me, gone = (Person(writers[0].http, writers[0].issuer, each.id) for each in (citizen, forgotten))
    early = await created([*writers, me, gone], RECORDS)
    mine, theirs = await me.created(), await gone.created()
    uploader, content = Uploader(me), scan(seed=11)
    sent = await uploader.sent(mine["record_id"], content)
    await uploader.verdict(mine["record_id"])
    people = {person.id for person in (*writers, me)}
    await eventually(lambda: agree(stack, people), 120, "all is told", pause=1)

    waits = await window.registered()
    assert (await Colleague(me.http, me.issuer).asks(waits.id)).status_code == 202
    accounts, left = inside.services.accounts, own_name("client")
    await accounts.keep_client(left, LEFT_SECRET, ["changes:read"], timedelta())
    dump = (await backup(stack, "dump", str(tmp_path))).split(" ")[0]

    await accounts.switch_client(left, enabled=False)
    changed = list(early)[: RECORDS // 10]
    owners = {record["record_id"]: person for person in writers for record in await listed(person)}
    for identity in [each for each in changed if each in owners]:
        await owners[identity].change(identity, 1, EDUCATION | {"major": "在备份之后"})
    late = await created(writers, RECORDS // 20)
    assert (await uploader.delete(mine["record_id"])).status_code == 204
    assert (await window.rebind(citizen, "13900001111")).status_code == 200
    newcomer = await window.enrolled()
    people |= {newcomer.id}
    await erase(me, forgotten, stack)
    await forge(stack, citizen.id, proof="made up")
    await eventually(lambda: agree(stack, people), 60, "all is told", pause=1)

    began = time.monotonic()
    async with AsyncExitStack() as stopped:
        for program in PROGRAMS:
            await stopped.enter_async_context(processes.down(program))
        await wipe(stack)
        print(await backup(stack, "restore", str(tmp_path), dump))
    for service in PLANS:
        await processes.ready(stack.facts["services"][service]["internal"], 90)
        await processes.ready(stack.facts["services"][service]["worker"], 90)
    await eventually(lambda: agree(stack, people), 120, "who subscribed has what the services have", pause=1)
    print(f"{RECORDS} records: {time.monotonic() - began:.0f} s from the first stop until everybody agreed")

    has = await kept(stack, "records", people)
    assert not [identity for identity in early if identity in owners and identity not in has]
    assert not late.keys() & has.keys(), "what came after the dump is lost"
    for identity in [each for each in changed if each in owners]:
        record = (await owners[identity].get(identity)).json()
        assert (record["data"]["major"], record["version"]) == (EDUCATION["major"], 3)
    assert (await uploader.look(mine["record_id"])).json()["attachment_id"] == sent["attachment_id"]
    assert (await uploader.file(sent["attachment_id"])).content.startswith(b"\xff\xd8\xff")
    assert await held_by(stack, forgotten) == set(), "who was erased after the dump stays erased"
    assert await document(stack, "identity", "practitioners", citizen.id), "a forged erasure is not restored"
    problem(await token(window.clerk.http, left), 401, "invalid_client")
    waited = await Colleague(me.http, me.issuer).call("GET", waits.id)
    assert waited.json()["state"] == "stopped", "whether somebody stopped it after the dump, nobody knows"
    assert not await document(stack, "identity", "practitioners", newcomer.id)
    window.clerk.tokens = {}  # sessions are not in a backup
    reason = {"X-Access-Reason": quote("核对备份")}
    bound = await window.clerk.call("GET", f"{WINDOW}/{citizen.id}/certificate", headers=reason)
    assert bound.json()["state"] == "revoked", "a phone that may have been lost opens nothing"
    assert (await window.issue(citizen)).status_code == 201
    assert theirs["record_id"] not in has
    await created([me], 1)
    await eventually(lambda: agree(stack, people), 60, "work goes on", pause=1)


async def token(http: httpx2.AsyncClient, client: str) -> httpx2.Response:
    """What a client gets that was disabled after the dump."""
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
    """What the services still tell of somebody; waits for what is under way."""
    found = set[str]()
    for service in PLANS:
        found |= {f"{service}/{identity}" for identity in await kept(stack, service, {citizen.id})}
    return found


async def test_nothing_is_written_over(stack: RunningStack, tmp_path: Path) -> None:
    dump = (await backup(stack, "dump", str(tmp_path))).split(" ")[0]
    with pytest.raises(AssertionError, match="has documents"):
        await backup(stack, "restore", str(tmp_path), dump)


async def test_a_dump_that_is_damaged_or_was_not_completed_is_not_restored(stack: RunningStack, tmp_path: Path) -> None:
    dump = Path((await backup(stack, "dump", str(tmp_path))).split(" ")[0])
    file = dump / "records" / "records.bson"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(AssertionError, match=r"records\.bson"):
        await backup(stack, "restore", str(tmp_path), str(dump))
    (dump / "manifest.json").unlink()
    with pytest.raises(AssertionError, match="not completed"):
        await backup(stack, "restore", str(tmp_path), str(dump))


async def test_files_that_a_bucket_lost_come_back_while_everything_runs(
    stack: RunningStack, tmp_path: Path, person: Person
) -> None:
    uploader = Uploader(person)
    record = await uploader.record()
    sent = await uploader.sent(record, scan(seed=13))
    await uploader.verdict(record)
    picture = (await uploader.file(sent["attachment_id"])).content
    dump = (await backup(stack, "dump", str(tmp_path))).split(" ")[0]
    async with blobs.connect(stack.blobs("attachments")) as bucket:
        folder = (await document(stack, "attachments", "attachments", sent["attachment_id"]))["folder"]
        for key in await bucket.keys(f"{folder}/"):
            await bucket.delete(key)
    assert (await uploader.file(sent["attachment_id"])).status_code == 404
    assert "3 objects" in await backup(stack, "files", str(tmp_path), dump)
    assert (await uploader.file(sent["attachment_id"])).content == picture


async def test_old_dumps_go_and_take_along_what_only_they_name(
    stack: RunningStack, tmp_path: Path, person: Person
) -> None:
    uploader = Uploader(person)
    record = await uploader.record()
    await uploader.sent(record, scan(seed=12))
    await uploader.verdict(record)
    await backup(stack, "dump", str(tmp_path))
    first = {path for path in (tmp_path / "objects" / "attachments").rglob("*") if path.is_file()}
    await uploader.delete(record)

    async def removed() -> bool:
        async with blobs.connect(stack.blobs("attachments")) as bucket:
            return len(await bucket.keys("scans/")) < len(first)

    await eventually(removed, 20, "the scan's files are removed")
    await backup(stack, "dump", str(tmp_path))
    assert "removed 1 dumps" in await backup(stack, "prune", str(tmp_path), "--keep", "1")
    left = {path for path in (tmp_path / "objects" / "attachments").rglob("*") if path.is_file()}
    assert left < first
