"""The drill: back up under load, lose all databases, restore, until services and topics agree (`make drill`).

Records are written straight into MongoDB in their real shape, then published as all others; meanwhile and during the
backup some are written through the API.
"""

import asyncio
import base64
import contextlib
import os
import random
import re
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from uuid import uuid4

from bench.load import asked, connections, percentiles
from bench.samples import BODY, CHUNK, Stored, documents
from bench.stack import Stack
from bench.table import Row
from bench.wire import request
from deploy.backup.encryption import new_identity
from deploy.backup.latest_versions import latest_versions_of
from deploy.backup.plan import PLANS
from deploy.local.programs import service_programs
from deploy.local.supervisor import Supervisor

PACE = 5
"""Records a second through the API."""
BEFORE_SECONDS = 40.0
EACH = 20
COMPARED = ("records", "attachments")
"""Services with a document for each record; every version of theirs is published."""
MEMORY_MB, P99_MS = 256, 100.0
HAN = [chr(number) for number in range(0x4E00, 0x9FA6)]
PROGRAM = """
import atexit, resource, runpy
atexit.register(lambda: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))
runpy.run_module("deploy.backup", run_name="__main__")
"""


@dataclass
class Written:
    """Records written through the API: when each was acknowledged, how long it took."""

    at: dict[str, float] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Command:
    """What `python -m deploy.backup` printed: seconds on the clock, megabytes at the peak, everything."""

    seconds: float
    megabytes: int
    output: str


def varied(document: Stored) -> Stored:
    """The document with texts of its own, where people's differ: equal ones would compress to nothing."""
    own = {
        "school": "".join(random.choices(HAN, k=6)), "major": "".join(random.choices(HAN, k=4)),
        "principal": "".join(random.choices(HAN, k=3)), "certificate_no": str(random.randrange(10**18)),
    }  # fmt: skip
    (entry,) = document["history"]
    changes = [{**change, "new": own.get(change["field"], change["new"])} for change in entry["changes"]]
    data = {**document["data"], **own}
    return {**document, "data": data, "history": [{**entry, "changes": changes}], "request": secrets.token_hex(32)}


async def rows(stack: Stack, records: int) -> list[Row]:
    """Play the drill once."""
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        return await Drill(stack, records, Path(folder)).play()


class Drill:
    """One drill, with a folder for the backup."""

    def __init__(self, stack: Stack, records: int, folder: Path) -> None:
        self._stack, self._records, self._folder = stack, records, folder
        secret, recipient = new_identity()
        (folder / "identity.txt").write_text(secret)
        self._settings = {
            "BACKUP__FOLDER": str(folder / "backup"), "BACKUP__RECIPIENTS": f'["{recipient}"]',
            "BACKUP__KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        }  # fmt: skip

    async def play(self) -> list[Row]:
        async with self._stack.database("records", patient=True) as database:
            made = map(varied, documents(self._records, each=EACH))
            while chunk := list(islice(made, CHUNK)):
                await database["records"].insert_many(chunk, ordered=False)
        await self._settled(self._records)
        async with self._writing() as before:
            await asyncio.sleep(BEFORE_SECONDS)
        began = time.time()
        async with self._writing() as during:
            backup = await self._command("backup", "run")
        acknowledged = {*before.at, *(each for each, at in during.at.items() if at < began)}
        size = sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file())
        check = await self._command("backup", "check", "--identity", str(self._folder / "identity.txt"))
        restore, recovered = await self._lose_and_restore()
        missing = await self._missing(acknowledged)
        memory, lost = f"{backup.megabytes} MB", f"{missing} of {len(acknowledged)}"
        return [
            self._row("backup", f"{backup.seconds:.0f} s, {size / 1e6:,.0f} MB"),
            self._row("backup, memory", memory, f"≤ {MEMORY_MB} MB", backup.megabytes <= MEMORY_MB),
            self._p99(before, during),
            self._row("check of everything with the identity", f"{check.seconds:.0f} s, {check.megabytes} MB"),
            self._row("restore alone", f"{restore.seconds:.0f} s, {restore.megabytes} MB"),
            self._row("from the first stop until topics and services agree", f"{recovered:.0f} s"),
            self._row("acknowledged before the backup, missing after the restore", lost, "0", missing == 0),
        ]

    def _row(self, name: str, ours: str, required: str = "–", passed: bool = True) -> Row:
        return Row(f"{self._records:,} records: {name}", ours, "–", required, ours, passed)

    def _p99(self, before: Written, during: Written) -> Row:
        quiet, busy = percentiles(before.took), percentiles(during.took)
        ours, ceiling = (f"p50 {each['p50_ms']:.0f}, p99 {each['p99_ms']:.0f} ms" for each in (busy, quiet))
        name = f"{self._records:,} records: {PACE} saves a second during the backup, beside before it"
        passed = busy["p99_ms"] <= max(P99_MS, 2 * quiet["p99_ms"])
        figures: dict[str, object] = {"during": busy, "before": quiet}
        return Row(name, ours, ceiling, f"p99 ≤ {P99_MS:.0f} ms or twice", ours, passed, figures)

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Written]:
        written = Written()
        task = asyncio.create_task(self._write(written))
        yield written
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _write(self, written: Written) -> None:
        async with connections(self._stack.port("records"), 1, self._stack.file["ca"]) as free:
            while True:
                began = time.perf_counter()
                text = request("POST", "/api/records/practitioners/me/records", self._stack.token(str(uuid4())), BODY)
                answer = await asked(free, text.encode())
                took = time.perf_counter() - began
                written.took.append(took)
                written.at[re.findall(rb'"record_id":"([^"]+)"', answer)[0].decode()] = time.time()
                await asyncio.sleep(max(0, 1 / PACE - took))

    async def _command(self, user: str, *arguments: str) -> Command:
        environment = os.environ | self._stack.environment(user) | self._settings
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, *arguments, env=environment, stdout=asyncio.subprocess.PIPE
        )
        output = (await process.communicate())[0].decode()
        if process.returncode:
            raise RuntimeError(f"deploy.backup {arguments[0]} failed: {output}")
        return Command(time.monotonic() - began, int(output.split()[-1]), output)

    async def _lose_and_restore(self) -> tuple[Command, float]:
        plan = self._stack.plan
        supervisor = Supervisor(plan)
        began = time.monotonic()
        await asyncio.to_thread(supervisor.stop, *service_programs(plan))
        async with self._stack.database("records", patient=True) as database:
            for service in PLANS:
                await database.client.drop_database(service)
        restore = await self._command("restore", "restore", "--identity", str(self._folder / "identity.txt"))
        await asyncio.to_thread(supervisor.start, *service_programs(plan))
        await _eventually(self._agree)
        return restore, time.monotonic() - began

    async def _settled(self, records: int) -> None:
        """Wait until the records are published and known to the other services."""

        async def known() -> bool:
            async with self._stack.database("attachments", patient=True) as database:
                return await database["known_records"].estimated_document_count() >= records

        await _eventually(known)

    async def _agree(self) -> bool:
        """Whether each topic has exactly the versions that its service has."""
        for service in COMPARED:
            newest = (await latest_versions_of(self._stack.kafka, service)).documents
            published = {each: latest.version for each, latest in newest.items() if not latest.removed}
            kept = dict[str, int]()
            async with self._stack.database(service, patient=True) as database:
                for name in PLANS[service].published:
                    async for found in database[name].find({}, {"version": True}):
                        kept[str(found["_id"])] = int(str(found["version"]))
            if kept != published:
                return False
        return True

    async def _missing(self, acknowledged: set[str]) -> int:
        async with self._stack.database("records", patient=True) as database:
            return len(acknowledged) - await database["records"].count_documents({"_id": {"$in": [*acknowledged]}})


async def _eventually(condition: Callable[[], Awaitable[bool]], within: float = 3600) -> None:
    deadline = time.monotonic() + within
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within:.0f} s: {condition}")
        await asyncio.sleep(1)
