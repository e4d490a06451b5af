"""Row: the publisher with a backlog, beside a bare transactional producer that sends the same records."""

from statistics import median

from bench.processes import Answer, measured
from bench.publishing import SERVICE, TOPIC
from bench.samples import fill
from bench.stack import Stack
from bench.table import Row, at_least
from kit import kafka
from services.records.store import COLLECTION

BACKLOG = 50_000
ROUNDS = 3


async def rows(stack: Stack) -> list[Row]:
    await _create_topics(stack)
    await _backlog(stack, 1)
    await measured(
        "bench.publishing", how="ours", count=1
    )  # stores a position; without one it would publish a snapshot
    taken: dict[str, list[Answer]] = {"ours": [], "bare": []}
    for _ in range(ROUNDS):
        await _backlog(stack, BACKLOG)
        for how, answers in taken.items():
            answers.append(await measured("bench.publishing", how=how, count=BACKLOG))
    ours, bare = (median(each["per_second"] for each in answers) for answers in taken.values())
    our_cpu, bare_cpu = (median(each["cpu_us"] for each in answers) for answers in taken.values())
    name = f"publisher, backlog of {BACKLOG:,} (CPU {our_cpu:.1f} µs an event, bare {bare_cpu:.1f})"
    return [at_least(name, ours, bare, 0.8, "events/s", our_cpu_us=our_cpu, bare_cpu_us=bare_cpu, rounds=taken)]


async def _create_topics(stack: Stack) -> None:
    async with kafka.admin(stack.kafka) as admin:
        await admin.create(TOPIC, stack.kafka.partitions, 1, {})
        await admin.create(f"{SERVICE}.publisher", 1, 1, {})


async def _backlog(stack: Stack, count: int) -> None:
    async with stack.database(SERVICE) as database:
        await fill(database[COLLECTION], count)
