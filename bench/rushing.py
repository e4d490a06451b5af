"""The measuring process of the rush rows: mixed traffic at the gateway, at a fixed rate whatever the answers are.

Of a hundred requests 60 read a list, 15 save a record, 10 open a page, 10 open the page to log in (a new browser each
time, so each draws a captcha or waits), 5 upload a scan.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from random import shuffle
from statistics import quantiles

import psutil

from bench.load import connections
from bench.pages import page_requests, people_with_records
from bench.processes import Answer, answer
from bench.samples import BODY
from bench.stack import Stack
from bench.uploading import Place
from bench.wire import Connection, request
from kit.core.documents import PERSON
from services.records.store import COLLECTION
from tests.support.scans import scan

RECORDS = "/api/records/practitioners/me/records"
SHARES = {"read": 60, "save": 15, "page": 10, "log-in": 10, "upload": 5}
CONNECTIONS, MOST_CONNECTIONS = 32, 1500
CLIENT_SECONDS = 10.0
WARM_UP_SECONDS, RECOVERY_SECONDS = 5.0, 5.0
OVERLOADS = (1, 2, 4, 8)
Texts = Mapping[str, Iterator[bytes]]


@dataclass
class Step:
    """What became of the requests of one step, by kind; times in seconds."""

    seconds: float
    good: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    accepted_times: list[float] = field(default_factory=list)
    refused_times: list[float] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)

    def answer(self) -> Answer:
        """The counts, p99 of the times, and the memory of our processes."""
        counts = {name: dict(getattr(self, name)) for name in ("good", "waiting", "refused", "failed")}
        return {
            **counts,
            "good_per_second": self.good.total() / self.seconds,
            "accepted_p50_ms": _percentile(self.accepted_times, 50),
            "accepted_p99_ms": _percentile(self.accepted_times, 99),
            "refused_p99_ms": _percentile(self.refused_times, 99),
            "late_p99_ms": _percentile(self.lateness, 99),
            "memory_mb": _memory(Stack.running()),
        }


def _percentile(seconds: list[float], percent: int) -> float:
    return quantiles(seconds, n=100)[percent - 1] * 1000 if len(seconds) > 1 else 0.0


def _memory(stack: Stack) -> float:
    return sum(psutil.Process(each).memory_info().rss for each in stack.processes().values()) / 1e6


class Clients:
    """Connections to the gateway, as many as there are requests at once."""

    def __init__(self, port: int, idle: asyncio.Queue[Connection]) -> None:
        self._port = port
        self._idle = idle
        self._opened = 0

    async def send(self, kind: str, text: bytes, due: float, step: Step) -> None:
        """Send one request that was due at a time, and note what became of it."""
        connection = None
        try:
            async with asyncio.timeout(CLIENT_SECONDS):
                connection = await self._connection()
                began = time.perf_counter()
                step.lateness.append(began - due)
                head, content = await connection.exchange(text)
        except (TimeoutError, OSError, RuntimeError, asyncio.IncompleteReadError) as error:  # uvloop's for a closed one
            step.failed[f"{kind}: {type(error).__name__}"] += 1
            self._opened -= 1
            if connection:
                connection.close()
            return
        if b"connection: close" in head.lower():
            connection.close()
            self._opened -= 1
        else:
            self._idle.put_nowait(connection)
        _note(step, kind, head, content, time.perf_counter() - due)

    async def _connection(self) -> Connection:
        if self._idle.empty() and self._opened < MOST_CONNECTIONS:
            self._opened += 1
            return await Connection.open(self._port)
        return await self._idle.get()


def _note(step: Step, kind: str, head: bytes, content: bytes, took: float) -> None:
    status = head[9:12].decode()
    if status == "503":
        step.refused[kind] += 1
        step.refused_times.append(took)
    elif status[0] != "2":
        step.failed[f"{kind}: {status}"] += 1
    else:
        is_waiting = kind == "log-in" and b'name="captcha"' not in content
        (step.waiting if is_waiting else step.good)[kind] += 1
        step.accepted_times.append(took)


@asynccontextmanager
async def _traffic(stack: Stack) -> AsyncIterator[tuple[Clients, Texts]]:
    people = await people_with_records(stack)
    pages = await page_requests(stack, people)
    tokens = {person: stack.token(person) for person in people}
    jpeg = scan()
    async with connections(stack.gateway_port, CONNECTIONS) as idle, stack.database("records") as database:
        records = [record async for record in database[COLLECTION].find({PERSON: {"$in": people}}, {PERSON: 1})]
        places = [Place(record["_id"], tokens[record[PERSON]]) for record in records]
        shuffle(places)
        texts: dict[str, list[bytes]] = {
            "read": [request("GET", f"{RECORDS}?limit=20", token).encode() for token in tokens.values()],
            "save": [request("POST", RECORDS, token, BODY).encode() for token in tokens.values()],
            "page": [page.encode() for page in pages],
            "log-in": [request("GET", "/login").encode()],
            "upload": [place.upload(jpeg) for place in places],
        }
        yield Clients(stack.gateway_port, idle), {kind: cycle(each) for kind, each in texts.items()}


async def _step(
    clients: Clients, texts: Texts, pace: float, seconds: float, shares: Mapping[str, int] = SHARES
) -> Step:
    step, kinds = Step(seconds), cycle(_mixed(shares))
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(pace * seconds)):
            due = began + number / pace
            await asyncio.sleep(max(0, due - time.perf_counter()))
            kind = next(kinds)
            group.create_task(clients.send(kind, next(texts[kind]), due, step))
    return step


def _mixed(shares: Mapping[str, int]) -> list[str]:
    """The kinds, each spread evenly over one round."""
    total = sum(shares.values())
    places = [((number + 0.5) * total / count, kind) for kind, count in shares.items() for number in range(count)]
    return [kind for _, kind in sorted(places)]


async def _capacity(clients: Clients, texts: Texts, at_once: int, seconds: float) -> float:
    """Good answers a second when `at_once` clients send one request after the other."""
    step, kinds = Step(seconds), cycle(_mixed(SHARES))
    until = time.perf_counter() + seconds

    async def client() -> None:
        while time.perf_counter() < until:
            kind = next(kinds)
            await clients.send(kind, next(texts[kind]), time.perf_counter(), step)

    await asyncio.gather(*(client() for _ in range(at_once)))
    return float(step.answer()["good_per_second"])


async def work(seconds: float, at_once: int) -> Answer:
    stack, steps = Stack.running(), dict[str, Answer]()
    async with _traffic(stack) as (clients, texts):
        await _capacity(clients, texts, at_once, WARM_UP_SECONDS)
        before = _memory(stack)
        capacity = await _capacity(clients, texts, at_once, seconds)
        for factor in OVERLOADS:
            steps[str(factor)] = (await _step(clients, texts, capacity * factor, seconds)).answer()
            await asyncio.sleep(RECOVERY_SECONDS)
            steps[f"after {factor}"] = (await _step(clients, texts, capacity / 2, RECOVERY_SECONDS)).answer()
        crowd = {"read": 30, "save": 8, "page": 5, "upload": 2, "log-in": 200}
        steps["crowd"] = (await _step(clients, texts, capacity * 2.45, seconds, crowd)).answer()
    return {"capacity": capacity, "memory_before": before, "steps": steps}


if __name__ == "__main__":
    answer(work)
