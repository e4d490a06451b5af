"""`python -m services.<name> migrate`: killed and continued, twice at once, tried without a change, large indexes."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import islice

import pytest
import pytest_asyncio

from deploy.local.stack import ROOT
from kit import mongo
from kit.core.clock import SystemClock
from kit.core.errors import Unavailable
from kit.core.ids import new_id
from kit.mongo import Database, Fields, Index
from kit.mongo.migrations import STATES
from services.attachments.domain import Attachment, KnownRecord
from services.attachments.store import COLLECTION, Attachments
from tests.support.names import own_id, own_name
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

LARGE = 60_000
"""Documents whose indexes take longer than `HASTY_MS`."""
HASTY_MS = 40
SERVICES = ("identity", "records", "attachments", "signature", "notify", "subscriptions")


@dataclass(frozen=True)
class Own:
    """A service on a database of its own."""

    stack: RunningStack
    database: Database
    service: str = "attachments"

    async def start(self, *options: str, **settings: str) -> asyncio.subprocess.Process:
        environment = os.environ | self.stack.privileged(f"{self.service}-worker") | settings
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"services.{self.service}", "migrate", *options,
            cwd=ROOT, env=environment | {"MONGO__DATABASE": self.database.name},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    async def migrate(self, *options: str, **settings: str) -> str:
        """Runs the command to its end. Returns its output."""
        return await finished(await self.start(*options, **settings))

    async def state(self) -> Fields:
        return await self.database[STATES].find_one({"_id": 1}) or {}

    async def begun(self) -> bool:
        return "position" in await self.state()


async def finished(process: asyncio.subprocess.Process) -> str:
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest_asyncio.fixture
async def own(stack: RunningStack) -> AsyncIterator[Own]:
    name = own_name("migrations")
    async with mongo.connect(stack.mongo, name) as database:
        yield Own(stack, database)
        await database.client.drop_database(name)


def of_an_earlier_release() -> Iterator[dict[str, object]]:
    """Scans as they were stored before `seen` existed."""
    known = KnownRecord(record_id=own_id(), practitioner_id=own_id(), kind="education", version=1)
    scan = Attachment.uploaded(known, "毕业证书", b"a scan", sealed=True, at=SystemClock().now(), by="test")
    stored = scan.model_dump(by_alias=True, exclude={"seen"})
    while True:
        yield {**stored, "_id": new_id(), "record_id": new_id()}


async def fill(database: Database, count: int) -> None:
    documents = of_an_earlier_release()
    for _ in range(0, count, 5_000):
        await database[COLLECTION].insert_many(list(islice(documents, min(count, 5_000))), ordered=False)


async def all_documents(database: Database) -> list[dict[str, object]]:
    return await database[COLLECTION].find({}, sort=[("_id", 1)]).to_list(None)


async def test_a_killed_run_is_continued_and_a_second_one_finds_nothing_to_do(own: Own) -> None:
    await fill(own.database, 5_000)
    before = await all_documents(own.database)
    process = await own.start("--share", "0.02")
    await eventually(own.begun, 30, "the first batch")
    process.kill()
    await process.communicate()
    killed = await own.state()
    assert killed["position"]
    assert await own.database[COLLECTION].count_documents({"seen": False}) < 5_000
    await own.migrate("--share", "1")
    state = await own.state()
    assert state["checked"] == 5_000, f"it began again: {killed}"
    assert await all_documents(own.database) == [{**document, "seen": False} for document in before]
    await own.migrate("--share", "1")
    assert await own.state() == state


async def test_two_runners_do_the_work_once(own: Own) -> None:
    await fill(own.database, 5_000)
    outputs = await asyncio.gather(*(own.migrate("--share", "0.2") for _ in range(2)))
    assert sum("waiting for another process" in output for output in outputs) == 1
    state = await own.state()
    assert (state["checked"], state["changed"], state["documents"]) == (5_000, 5_000, 5_000)
    assert await own.database[COLLECTION].count_documents({"seen": False}) == 5_000


async def test_a_dry_run_changes_nothing_and_shows_no_values(own: Own) -> None:
    await fill(own.database, 20)
    before = await all_documents(own.database)
    output = await own.migrate("--dry-run")
    assert output == "1 seen is stored: 20 documents of attachments would change; of the first one: seen\n"
    assert await all_documents(own.database) == before
    assert await own.database.list_collection_names() == [COLLECTION]
    await own.migrate("--share", "1")
    assert await own.migrate("--dry-run") == "nothing would change\n"


async def indexed(database: Database) -> bool:
    return {"one_live", "sha256_1", "folder_1"} <= (await database[COLLECTION].index_information()).keys()


async def test_the_command_waits_for_an_index_that_takes_longer_than_a_request_may(own: Own) -> None:
    await fill(own.database, LARGE)
    await own.migrate("--share", "1", MONGO__TIMEOUT_MS=str(HASTY_MS))
    assert await indexed(own.database)


async def test_a_process_that_starts_without_the_command_becomes_ready_when_its_indexes_are_built(own: Own) -> None:
    await fill(own.database, LARGE)
    hasty = own.stack.mongo.model_copy(update={"timeout_ms": HASTY_MS})
    failures = 0
    async with mongo.connect(hasty, own.database.name) as database:
        attachments = Attachments(database)

        async def ready() -> bool:
            nonlocal failures
            try:
                await attachments.prepare()
            except Unavailable:
                failures += 1
                return False
            return True

        await eventually(ready, 60, "the readiness check passes")
    assert failures
    assert await indexed(own.database)


async def test_an_index_of_an_earlier_release_is_dropped(own: Own) -> None:
    """MongoDB removed old messages by it, without the tombstones that subscribers need."""
    await own.database["messages"].create_indexes([Index([("updated_at", 1)], expireAfterSeconds=60)])
    await Own(own.stack, own.database, "notify").migrate()
    assert "updated_at_1" not in await own.database["messages"].index_information()


@pytest.mark.parametrize("service", SERVICES)
async def test_the_indexes_of_each_service_are_those_of_its_processes(own: Own, service: str) -> None:
    await Own(own.stack, own.database, service).migrate()
    async with mongo.connect(own.stack.mongo, service) as running:
        for collection in await running.list_collection_names():
            wanted = (await running[collection].index_information()).keys()
            assert wanted == (await own.database[collection].index_information()).keys() | {"_id_"}, collection
