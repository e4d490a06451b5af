"""The measuring process of the costs: one kind of request at a fixed rate at the gateway, and what the stack used."""

import asyncio
import itertools
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from urllib.parse import quote
from uuid import uuid4

from bench.load import Target, asked, at_pace, connections
from bench.pages import page_requests, people_with_records
from bench.processes import Answer, answer
from bench.samples import BODY, DATA, documents
from bench.stack import Stack
from bench.uploading import new_places
from bench.usage import Usage, used
from bench.visiting import enrolled, page
from bench.wire import request
from services.records.store import COLLECTION
from tests.support.scans import scan

CONNECTIONS, PEOPLE, CLIENTS = 16, 200, 20
SETTLE_SECONDS = 5.0
EVENTS = 100  # of a page of the feed
RECORDS, CHANGES = "/api/records/practitioners/me/records", "/api/records/changes"
One = Callable[[], Coroutine[None, None, None]]
Prepared = AbstractAsyncContextManager[One]


async def work(kind: str, pace: float, seconds: float) -> Answer:
    """Prepare, wait until the stack is quiet, and measure what a request costs above what it then uses idle."""
    stack, requests = Stack.running(), int(pace * seconds)
    async with KINDS[kind](stack, requests) as one:
        await asyncio.sleep(SETTLE_SECONDS)
        idle = await _each_second(stack, asyncio.sleep(seconds))
        with_requests = await _each_second(stack, _drive(pace, seconds, one))
    costs = with_requests.usage.since(idle.usage).times(with_requests.seconds / requests)
    return {"cost": asdict(costs), "idle": asdict(idle.usage), "load": os.getloadavg()[0]}


@dataclass(frozen=True)
class Rate:
    """What the stack used in each of so many seconds."""

    usage: Usage
    seconds: float


async def _each_second(stack: Stack, job: Awaitable[None]) -> Rate:
    before, began = await used(stack), time.perf_counter()
    await job
    meanwhile = (await used(stack)).since(before)
    seconds = time.perf_counter() - began
    return Rate(meanwhile.times(1 / seconds), seconds)


async def _drive(pace: float, seconds: float, one: One) -> None:
    await at_pace(pace, seconds, one)
    await asyncio.sleep(SETTLE_SECONDS)


@asynccontextmanager
async def create(stack: Stack, _count: int) -> AsyncIterator[One]:
    texts = [request("POST", RECORDS, stack.token(str(uuid4())), BODY) for _ in range(PEOPLE)]
    async with _asking(stack, itertools.cycle(texts)) as one:
        yield one


@asynccontextmanager
async def edit(stack: Stack, count: int) -> AsyncIterator[One]:
    """Change the same records by turns: each change names the version that the one before it made."""
    async with connections(stack.gateway_port, CONNECTIONS) as gateway, stack.database("attachments") as database:
        places = await new_places(stack, gateway, database, PEOPLE)
    texts = (
        request(
            "PUT", f"/api/records/records/{place.record_id}", place.token,
            {"data": DATA | {"major": f"土木工程 {version}"}}, version=version,
        )
        for version in range(1, count // PEOPLE + 2)
        for place in places
    )  # fmt: skip
    async with _asking(stack, texts) as one:
        yield one


@asynccontextmanager
async def read(stack: Stack, _count: int) -> AsyncIterator[One]:
    made = list(documents(PEOPLE))
    async with stack.database("records") as database:
        await database[COLLECTION].insert_many(made)
    texts = [
        request("GET", f"/api/records/records/{each['_id']}", stack.token(each["practitioner_id"])) for each in made
    ]
    async with _asking(stack, itertools.cycle(texts)) as one:
        yield one


@asynccontextmanager
async def list_(stack: Stack, _count: int) -> AsyncIterator[One]:
    texts = [request("GET", RECORDS, stack.token(person)) for person in await people_with_records(stack)]
    async with _asking(stack, itertools.cycle(texts)) as one:
        yield one


@asynccontextmanager
async def portal_page(stack: Stack, _count: int) -> AsyncIterator[One]:
    texts = await page_requests(stack, await people_with_records(stack))
    async with _asking(stack, itertools.cycle(texts)) as one:
        yield one


@asynccontextmanager
async def login(stack: Stack, count: int) -> AsyncIterator[One]:
    async with page(stack, through_gateway=True) as shown:
        visitors = iter(await enrolled(shown, count))
        yield lambda: shown.log_in(next(visitors))


@asynccontextmanager
async def upload(stack: Stack, count: int) -> AsyncIterator[One]:
    jpeg = scan()
    async with connections(stack.gateway_port, CONNECTIONS) as gateway, stack.database("attachments") as database:
        places = iter(await new_places(stack, gateway, database, count))

        async def one() -> None:
            await asked(gateway, next(places).upload(jpeg))

        yield one


@asynccontextmanager
async def feed(stack: Stack, _count: int) -> AsyncIterator[One]:
    """Read a page of events that are in the API's memory, as for a subscriber that follows."""
    tokens = [stack.client_token(f"bench-{number}", "changes:read") for number in range(CLIENTS)]
    now = quote(datetime.now(UTC).isoformat())
    async with connections(stack.gateway_port, 1) as gateway:
        first = request("GET", f"{CHANGES}?since={now}", tokens[0])
        cursor = json.loads(await asked(gateway, first.encode()))["next_cursor"]
    await people_with_records(stack)
    texts = [request("GET", f"{CHANGES}?after={quote(cursor)}&limit={EVENTS}", token) for token in tokens]
    async with _asking(stack, itertools.cycle(texts)) as one:
        yield one


@asynccontextmanager
async def _asking(stack: Stack, texts: Iterable[str]) -> AsyncIterator[One]:
    left = iter(texts)
    async with connections(stack.gateway_port, CONNECTIONS) as gateway:
        yield lambda: _ask(gateway, left)


async def _ask(gateway: Target, texts: Iterator[str]) -> None:
    await asked(gateway, next(texts).encode())


KINDS: dict[str, Callable[[Stack, int], Prepared]] = {
    "create": create,
    "edit": edit,
    "read": read,
    "list": list_,
    "page": portal_page,
    "login": login,
    "upload": upload,
    "feed": feed,
}

if __name__ == "__main__":
    answer(work)
