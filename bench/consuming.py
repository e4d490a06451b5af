"""Row 3, the measured process: guarded upserts by kit.messaging.consumer, or by motor alone at the same concurrency."""

import asyncio
import time
from collections.abc import Iterator

from bench.processes import Answer, answer
from bench.publishing import BenchChanged
from bench.samples import documents
from bench.stack import Stack
from kit.core.events import Event
from kit.messaging.consumer import Consumer, ConsumerPolicy
from kit.mongo import Database, Projection
from kit.runtime.process import tune

TOPIC = "bench.consumed"


class Throughput:
    """Counts handled events; time is measured from the first to the last."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._done = 0
        self._began = 0.0
        self.reached = asyncio.Event()
        self.seconds = 0.0

    def one(self) -> None:
        self._began = self._began or time.perf_counter()
        self._done += 1
        if self._done == self._count:
            self.seconds = time.perf_counter() - self._began
            self.reached.set()


async def work(how: str, count: int, group: str) -> Answer:
    tune()
    stack, enough = Stack.running(), Throughput(count)
    async with stack.database("bench_consumer") as database:
        running = asyncio.create_task(
            _consume(stack, database, group, enough) if how == "ours" else _upsert(database, group, count, enough)
        )
        await asyncio.wait(
            [running, waiting := asyncio.create_task(enough.reached.wait())], return_when="FIRST_COMPLETED"
        )
        waiting.cancel()
        if not enough.reached.is_set():
            running.result()
        running.cancel()
        await asyncio.wait([running])
    return {"per_second": count / enough.seconds}


async def _consume(stack: Stack, database: Database, group: str, enough: Throughput) -> None:
    kept = Projection(database, group)

    async def keep(event: Event) -> None:
        record = BenchChanged.model_validate_json(event.data)
        fields = record.model_dump(include={"practitioner_id", "kind", "state", "data"})
        await kept.put(record.record_id, record.version, fields)
        enough.one()

    await Consumer(group, [TOPIC], {BenchChanged.TYPE: keep}, stack.kafka, "bench").run()


async def _upsert(database: Database, name: str, count: int, enough: Throughput) -> None:
    names = ("practitioner_id", "kind", "state", "data")
    made = iter([(each["_id"], {name: each[name] for name in names}) for each in documents(count)])
    await asyncio.gather(*(_upserts(database, name, made, enough) for _ in range(ConsumerPolicy().concurrency)))


async def _upserts(
    database: Database, name: str, made: Iterator[tuple[str, dict[str, object]]], enough: Throughput
) -> None:
    collection = database[name]
    for identity, fields in made:
        guard = {"_id": identity, "version": {"$lt": 1}}
        await collection.replace_one(guard, {"version": 1, **fields}, upsert=True)
        enough.one()


if __name__ == "__main__":
    answer(work)
