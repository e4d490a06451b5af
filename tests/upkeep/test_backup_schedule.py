"""The schedule: a dump when one is due, read back before any other is removed, with metrics, until a signal."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from deploy.backup import metrics
from deploy.backup.files import Dump, Unusable, all_dumps
from deploy.backup.schedule import RETRY, Schedule, newest_usable, once
from deploy.backup.settings import DumpSettings, Keep
from deploy.backup.storage import InFolder
from deploy.local.stack import ROOT
from tests.support.backups import Backups, Destination
from tests.support.processes import free_port
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.all_data


@pytest.fixture
def backups(stack: RunningStack, tmp_path: Path) -> Backups:
    return Backups(stack, Destination.below(tmp_path))


def last_success() -> float:
    return float(metrics.last_success._value.get())


def unreachable(settings: DumpSettings) -> DumpSettings:
    url = SecretStr(f"mongodb://127.0.0.1:{free_port()}")
    return settings.model_copy(update={"mongo": settings.mongo.model_copy(update={"url": url, "timeout_ms": 200})})


async def test_a_dump_is_made_when_one_is_due(backups: Backups) -> None:
    storage = backups.destination.storage
    schedule = Schedule(backups.settings(), storage)
    now = datetime.now(UTC)
    await schedule.step(now)
    (first,) = await all_dumps(storage)
    assert last_success() >= now.timestamp()
    await schedule.step(now + timedelta(seconds=30))
    assert list(await all_dumps(storage)) == [first]
    await schedule.step(now + timedelta(days=1))
    assert len(await all_dumps(storage)) == 2


async def test_after_a_failure_it_is_counted_and_tried_again_later(backups: Backups) -> None:
    before, now = metrics.failures._value.get(), datetime.now(UTC)
    schedule = Schedule(unreachable(backups.settings()), backups.destination.storage)
    await schedule.step(now)
    await schedule.step(now + RETRY / 2)
    assert (metrics.failures._value.get(), last_success()) == (before + 1, 0)
    await schedule.step(now + RETRY)
    assert metrics.failures._value.get() == before + 2


class Losing(InFolder):
    """A disk that stores other bytes than it was given."""

    async def put(self, name: str, content: bytes) -> None:
        await super().put(name, content[:-1] if ".bson." in name else content)


async def test_no_dump_is_removed_before_the_new_one_was_read_back(backups: Backups) -> None:
    settings = backups.settings()
    only_one = settings.backup.model_copy(update={"keep": Keep(latest=1, daily=0, weekly=0, monthly=0)})
    settings = settings.model_copy(update={"backup": only_one})
    good = await once(settings, backups.destination.storage)
    with pytest.raises(Unusable, match="is damaged"):
        await once(settings, Losing(backups.destination.folder))
    assert good.dump.name in await all_dumps(backups.destination.storage)
    await once(settings, backups.destination.storage)
    assert len(await all_dumps(backups.destination.storage)) == 1


async def test_a_half_written_dump_is_removed_by_the_next_run(backups: Backups) -> None:
    half = backups.destination.dump(datetime(2026, 1, 1, tzinfo=UTC))
    await half.put("documents/records.records.000000.bson.gz.age", b"", 0)
    made = await once(backups.settings(), backups.destination.storage)
    assert await all_dumps(backups.destination.storage) == {made.dump.name: True}


async def test_a_forged_dump_is_no_success(backups: Backups, tmp_path: Path) -> None:
    storage, key = backups.destination.storage, backups.destination.key
    genuine = await backups.destination.made(datetime(2026, 1, 1, tzinfo=UTC))
    forger = Destination(backups.destination.folder, tmp_path, backups.destination.recipient, b"guessed")
    await forger.made(datetime(2026, 2, 1, tzinfo=UTC))
    assert await newest_usable(storage, key) == await Dump(storage, genuine.name, key).manifest()


@asynccontextmanager
async def scheduled(backups: Backups, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | backups.environment("backup") | {"INTERNAL__PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.backup", "schedule", cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_the_process_shows_its_last_success_and_ends_at_a_signal(backups: Backups) -> None:
    port = free_port()
    async with scheduled(backups, port) as process, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:

        async def succeeded() -> bool:
            try:
                lines = (await http.get("/metrics")).text.splitlines()
            except httpx2.TransportError:
                return False
            values = dict(line.rsplit(" ", 1) for line in lines if line.startswith("backup_"))
            return float(values["backup_last_success_timestamp_seconds"]) > 0

        await eventually(succeeded, 60, "a first dump", pause=0.3)
        assert (await http.get("/readyz")).status_code == 200
        assert len(await all_dumps(backups.destination.storage)) == 1
        process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(process.communicate(), 15)
        assert process.returncode == 0
        assert b"backup written" in output
