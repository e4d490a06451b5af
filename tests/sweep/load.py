"""The load of a sweep: all clients and subscribers together, against any stack; then the verdict on their log."""

import asyncio
import os
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random

import httpx2

from kit.redis import RedisServer
from tests.support.change_clients import Client
from tests.support.imports import Sender
from tests.support.people import Person
from tests.support.projection import Kept, consuming, own_projection
from tests.support.stack import RunningStack
from tests.support.subscriber import Subscriber
from tests.support.tokens import stack_issuer
from tests.sweep.answers import Answers
from tests.sweep.followers import following, webhook
from tests.sweep.history import History
from tests.sweep.imports import ROWS, Importer
from tests.sweep.logins import LoginClient, LoginPages
from tests.sweep.uploads import Uploader
from tests.sweep.writers import Dossiers, Writer, paced

TOPIC, TYPE = "records.changes", "records.record.changed.v1"
PRIVATE_TOPICS = ("identity.changes", "identity.messages", "notify.changes")
"""The topics of events about people who have document numbers and phones."""
PEOPLE = 24
OPERATIONS_A_LOGIN = OPERATIONS_AN_UPLOAD = 60
LOGIN_SECONDS, UPLOAD_SECONDS, IMPORT_SECONDS = 16.0, 4.0, 20.0
"""The longest that a client's turn usually takes: so many clients keep the rate."""
REQUEST_SECONDS = 10
TOKEN_SECONDS = 4 * 3600
CLIENTS_NICE = -10
"""Clients have machines of their own: on this one they must not wait for the processor of the servers."""
Act = Callable[[], Awaitable[object]]
SNAPSHOT = re.compile(r'^publisher_snapshots_total\{service="records"\} (\S+)', re.MULTILINE)
BORN = re.compile(r"^process_start_time_seconds (\S+)", re.MULTILINE)


@dataclass
class SnapshotWatch:
    """Whether a worker of records has published a snapshot since the watch began: then versions may repeat."""

    stack: RunningStack
    workers: Sequence[str]
    seen: bool = False
    _known: dict[tuple[str, str], float] = field(default_factory=dict)
    _began: float = field(default_factory=time.time)

    async def watch(self) -> None:
        """Look every two seconds until cancelled."""
        while True:
            for worker in self.workers:
                await self._look(worker)
            await asyncio.sleep(2)

    async def _look(self, worker: str) -> None:
        """Compare with the last look; a process that was born during the watch began with no snapshot."""
        try:
            async with self.stack.http(seconds=2) as client:
                text = (await client.get(f"{worker}/metrics")).text
        except httpx2.HTTPError:
            return
        found, born = SNAPSHOT.search(text), BORN.search(text)
        if found and born:
            process, snapshots = (worker, born[1]), float(found[1])
            before = 0 if float(born[1]) > self._began else snapshots
            self.seen = self.seen or snapshots > self._known.get(process, before)
            self._known[process] = snapshots


@dataclass
class SweepLoad:
    """The running load. `persons`: those of records; `snapshots`: whether the publisher has made one."""

    stack: RunningStack
    history: History
    answers: Answers
    dossiers: Dossiers
    topic: Subscriber
    kept: Kept
    private: Sequence[Subscriber]
    snapshots: SnapshotWatch
    pages: LoginPages
    seed: int
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def persons(self) -> set[str]:
        return self.dossiers.persons

    async def stop(self) -> None:
        """End the clients: each finishes its operation with all retries."""
        self._stop.set()
        self.pages.until = time.monotonic() + LOGIN_SECONDS
        await asyncio.gather(*self.tasks)

    def start(self, rate: float) -> None:
        """Start `rate` operations a second, as many imported rows, and a log-in and an upload for every sixty."""
        writers = [self._writer(f"writer {number}") for number in range(max(16, round(2 * rate)))]
        self._start([each.act for each in writers], rate)
        uploaders = [
            Uploader(self._writer(f"uploader {number}"), self.dossiers, self._random(f"uploads {number}"))
            for number in clients(rate / OPERATIONS_AN_UPLOAD, UPLOAD_SECONDS)
        ]
        self._start([each.act for each in uploaders], rate / OPERATIONS_AN_UPLOAD)
        importers = [
            Importer(self._writer(f"importer {number}"), self.pages, Sender(self.pages.http, self.pages.issuer))
            for number in clients(rate / (2 * ROWS), IMPORT_SECONDS)
        ]
        self._start([each.act for each in importers], rate / (2 * ROWS))
        logins = [
            LoginClient(self.pages, self.history, self._random(f"log-ins {number}"))
            for number in clients(rate / OPERATIONS_A_LOGIN, LOGIN_SECONDS)
        ]
        self._start([each.act for each in logins], rate / OPERATIONS_A_LOGIN)

    def _start(self, acts: Sequence[Act], rate: float) -> None:
        pause = len(acts) / rate
        for place, act in enumerate(acts):
            first = pause * place / len(acts)
            self.tasks.append(asyncio.create_task(paced(partial(self.answers.guarded, act), pause, first, self._stop)))

    def _writer(self, name: str) -> Writer:
        return Writer(name, self.dossiers, self.answers, self.history, self._random(name))

    def _random(self, name: str) -> Random:
        return Random(f"{self.seed} {name}")


def clients(rate: float, seconds: float) -> range:
    """As many clients as keep `rate` while each turn takes `seconds`."""
    return range(max(1, round(rate * seconds)))


def gateway_client(stack: RunningStack) -> httpx2.AsyncClient:
    """A client of the gateway whose idle connections end before the gateway ends them."""
    limits = httpx2.Limits(max_connections=300, max_keepalive_connections=100, keepalive_expiry=2)
    return httpx2.AsyncClient(base_url=stack.gateway, timeout=REQUEST_SECONDS, limits=limits)


async def from_now(stack: RunningStack, topic: str) -> Subscriber:
    subscriber = Subscriber(stack.kafka, topic)
    await subscriber.skip()
    return subscriber


@contextmanager
def _running(work: Coroutine[object, object, None]) -> Iterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()


@asynccontextmanager
async def sweep_load(
    stack: RunningStack,
    *,
    rate: float = 30,
    seed: int | None = None,
    workers: Sequence[str] = (),
    person: type[Person] = Person,
) -> AsyncIterator[SweepLoad]:
    """The load for the length of the block.

    `workers`: internal addresses of the workers of records, if several. `person`: the client of a person, for a broken
    one.
    """
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    print(f"load seed: {seed}")
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, CLIENTS_NICE)
    async with AsyncExitStack() as opened:
        http = await opened.enter_async_context(gateway_client(stack))
        issuer = stack_issuer(stack, TOKEN_SECONDS)
        history, answers = History(), Answers()
        topic, *private = [await from_now(stack, name) for name in (TOPIC, *PRIVATE_TOPICS)]
        kept = await opened.enter_async_context(own_projection(stack, [TOPIC], TYPE, from_now=True))
        await opened.enter_async_context(consuming(kept))
        subscriber = Client(http, issuer)
        await opened.enter_async_context(following(subscriber, answers, history))
        await opened.enter_async_context(webhook(subscriber, history, Random(f"{seed} receiver")))
        redis = await opened.enter_async_context(RedisServer(stack.redis, "identity"))
        watch = SnapshotWatch(stack, workers or [stack.facts["services"]["records"]["worker"]])
        opened.enter_context(_running(watch.watch()))
        pages = LoginPages(http, answers, issuer, redis.cache, stack.facts["sms_inbox"])
        dossiers = Dossiers(lambda: person(http, issuer))
        load = SweepLoad(stack, history, answers, dossiers, topic, kept, private, watch, pages, seed)
        dossiers.open(PEOPLE)
        load.start(rate)
        try:
            yield load
        finally:
            for task in load.tasks:
                task.cancel()
            await asyncio.gather(*load.tasks, return_exceptions=True)
