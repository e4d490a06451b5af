"""Processes are killed while far more is asked than the machine can answer: what was acknowledged stays, once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from tests.faults.conftest import Run
from tests.support.names import seeded
from tests.support.people import Person
from tests.support.scale import scaled

CROWD = 320
"""Readers who ask again at once: more than a process of a test stack takes at a time."""
ANSWERS = {200, 503}
KILLED = ("records-api", "records-worker")


async def test_kills_while_overloaded_lose_and_repeat_nothing(run: Run) -> None:
    random = seeded()
    async with run.load(50), crowd(run) as answers:
        for number in range(scaled(10, 4)):
            await asyncio.sleep(random.uniform(2, 4))
            await run.processes.kill(KILLED[number % len(KILLED)])
        await asyncio.sleep(4)
    print("the crowd was answered", dict(answers))
    await run.settled()
    assert answers[503] > 0, "it was overloaded"
    assert answers.keys() <= ANSWERS | {"no answer"}


@asynccontextmanager
async def crowd(run: Run) -> AsyncIterator[Counter[int | str]]:
    """Readers for the length of the block, and how they were answered."""
    answers: Counter[int | str] = Counter()
    unlimited = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(base_url=run.stack.gateway, timeout=30, limits=unlimited) as http:
        reader = Person(http, run.people[0].issuer)
        tasks = [asyncio.create_task(_read(reader, answers)) for _ in range(CROWD)]
        try:
            yield answers
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: Person, answers: Counter[int | str]) -> None:
    while True:
        try:
            response = await reader.list()
            answers[response.status_code] += 1
        except httpx2.TransportError:
            answers["no answer"] += 1
            await asyncio.sleep(0.1)
