"""Row: a million documents migrated and indexed while records are saved, beside one bare update of them."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import islice
from uuid import uuid4

from bench.processes import measured
from bench.samples import BODY, CHUNK, Stored
from bench.stack import Stack
from bench.table import Row
from bench.wire import request
from kit.core.clock import SystemClock
from kit.core.documents import field_of
from kit.mongo import Database
from kit.mongo.migrations import STATES
from services.attachments.domain import Attachment, KnownRecord
from services.attachments.store import COLLECTION

DATABASE = "bench_migration"
MILLION = 1_000_000
PEOPLE, PACE, SECONDS = 200, 50, 10.0
P99 = 100.0


async def rows(stack: Stack) -> list[Row]:
    async with stack.database(DATABASE, patient=True) as database:
        await _fill(database)
        quiet, began = await _saves(stack), SystemClock().now()
        migrating, indexing = list[float](), list[float]()
        async with _command(stack) as process:
            while process.returncode is None:
                (indexing if await _finished(database) else migrating).append(await _saves(stack))
        lasted = (SystemClock().now() - began).total_seconds()
        finished = await _finished(database)
        if finished is None or await database[COLLECTION].count_documents({"seen": {"$ne": False}}):
            raise RuntimeError("not everything was migrated")
        bare = await _bare(database)
        await database.client.drop_database(DATABASE)
    return [_row((finished - began).total_seconds(), lasted, bare, quiet, migrating, indexing)]


async def _finished(database: Database) -> datetime | None:
    state = await database[STATES].find_one({"finished_at": {"$exists": True}})
    return field_of(state, "finished_at", datetime) if state else None


def _row(
    finished: float, lasted: float, bare: float, quiet: float, migrating: list[float], indexing: list[float]
) -> Row:
    worst = max(migrating)
    figures: dict[str, object] = {
        "seconds": finished, "with_indexes": lasted, "bare": bare, "p99_before": quiet, "p99_during": migrating,
        "p99_while_indexing": indexing,
    }  # fmt: skip
    return Row(
        f"{MILLION:,} documents migrated beside {PACE} saves/s (one update_many beside it)",
        f"{finished:.0f} s, saves p99 {worst:.0f} ms",
        f"{bare:.0f} s, saves p99 {quiet:.0f} ms",
        f"p99 ≤ {P99:.0f} ms",
        f"{worst:.0f} ms, {finished / bare:.1f} × as long",
        worst <= P99,
        figures,
    )


async def _saves(stack: Stack) -> float:
    """Save records for `SECONDS`; returns their p99 in milliseconds."""
    path = "/api/records/practitioners/me/records"
    requests = [request("POST", path, stack.token(str(uuid4())), BODY) for _ in range(PEOPLE)]
    answer = await measured(
        "bench.load", port=stack.port("records"), requests=requests, seconds=SECONDS, pace=PACE, ca=stack.file["ca"]
    )
    return float(answer["p99_ms"])


@asynccontextmanager
async def _command(stack: Stack) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | stack.privileged("attachments-worker") | {"MONGO__DATABASE": DATABASE}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.attachments", "migrate", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _bare(database: Database) -> float:
    """Remove the field again, with one command."""
    began = time.perf_counter()
    await database[COLLECTION].update_many({}, {"$unset": {"seen": ""}})
    return time.perf_counter() - began


async def _fill(database: Database) -> None:
    documents = _earlier()
    for _ in range(MILLION // CHUNK):
        await database[COLLECTION].insert_many(list(islice(documents, CHUNK)), ordered=False)


def _earlier() -> Iterator[Stored]:
    """Scans as they were stored before `seen` existed."""
    known = KnownRecord(record_id="nothing", practitioner_id="nobody", kind="education", version=1)
    scan = Attachment.uploaded(
        known, "毕业证书", b"a scan", sealed=True, at=SystemClock().now(), by="practitioner:nobody"
    )
    stored = scan.model_dump(by_alias=True, exclude={"seen"})
    while True:
        yield {**stored, "_id": str(uuid4()), "record_id": str(uuid4()), "practitioner_id": str(uuid4())}
