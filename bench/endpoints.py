"""Rows: reading and writing over HTTP, beside bare FastAPI + motor, and with a million records in the database."""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median

import psutil

from bench.processes import cpu_seconds, measured, server
from bench.samples import BODY, documents, fill
from bench.stack import Stack
from bench.table import Row, at_least
from bench.wire import request
from services.records.store import COLLECTION, KNOWN_PRACTITIONERS

EACH = 20  # records of a person
PEOPLE = 100
MILLION = 1_000_000
ROUNDS, SECONDS = 3, 5.0
SLOWER = 1.3


@dataclass(frozen=True)
class Target:
    """A server to be measured, and the requests for it by method."""

    process: psutil.Process
    port: int
    requests: dict[str, list[str]]
    ca: str = ""


@dataclass(frozen=True)
class Speed:
    """The medians of the rounds, for one server and one kind of request."""

    per_cpu_second: float
    per_second: float
    p50_ms: float


async def rows(stack: Stack) -> list[Row]:
    people = await _people(stack, "bench_http")
    async with AsyncExitStack() as opened:
        ours = await opened.enter_async_context(_ours(stack, "bench_http", people))
        bare = await opened.enter_async_context(_bare(stack, "bench_http", people))
        return [await _row(method, ours, bare) for method in ("GET", "POST")]


async def bare_insert(stack: Stack) -> Speed:
    """Measure what FastAPI and motor alone need for one validated majority insert."""
    async with _bare(stack, "bench_http", []) as bare:
        return (await _compare("POST", [bare]))[0]


async def _row(method: str, ours: Target, bare: Target) -> Row:
    mine, ceiling = await _compare(method, [ours, bare])
    what = f"GET …/records of a person with {EACH}" if method == "GET" else "POST …/records"
    waits = {"p50_ms": mine.p50_ms, "bare_p50_ms": ceiling.p50_ms}
    return at_least(what, mine.per_cpu_second, ceiling.per_cpu_second, 0.5, "per CPU second", **waits)


async def million_rows(stack: Stack) -> list[Row]:
    few = await _people(stack, "bench_empty")
    many = await _people(stack, "bench_million", MILLION)
    async with AsyncExitStack() as opened:
        full = await opened.enter_async_context(_ours(stack, "bench_million", many))
        empty = await opened.enter_async_context(_ours(stack, "bench_empty", few))
        return [await _million_row(method, full, empty) for method in ("GET", "POST")]


async def _million_row(method: str, full: Target, empty: Target) -> Row:
    big, small = await _compare(method, [full, empty])
    slower = small.per_second / big.per_second
    texts = f"{big.per_second:,.0f}/s", f"{small.per_second:,.0f}/s", f"≤ {SLOWER} ×", f"{slower:.2f} ×"
    figures: dict[str, object] = {"full": vars(big), "empty": vars(small)}
    return Row(f"{method} with {MILLION:,} records (the empty database beside it)", *texts, slower <= SLOWER, figures)


async def _compare(method: str, targets: Sequence[Target]) -> list[Speed]:
    """Measure the targets by turns, so that other load on the machine affects all of them."""
    taken: list[list[Speed]] = [[] for _ in targets]
    for _ in range(ROUNDS):
        for target, speeds in zip(targets, taken, strict=True):
            speeds.append(await _speed(target, method))
    return [_median(speeds) for speeds in taken]


async def _speed(target: Target, method: str) -> Speed:
    used = cpu_seconds(target.process)
    answer = await measured(
        "bench.load", port=target.port, requests=target.requests[method], seconds=SECONDS, ca=target.ca
    )
    return Speed(answer["requests"] / (cpu_seconds(target.process) - used), answer["per_second"], answer["p50_ms"])


def _median(speeds: list[Speed]) -> Speed:
    return Speed(*(median(getattr(each, name) for each in speeds) for name in vars(speeds[0])))


async def _people(stack: Stack, name: str, records: int = PEOPLE * EACH) -> list[str]:
    """Fill the database; returns some of its people."""
    async with stack.database(name) as database:
        await fill(database[COLLECTION], records, each=EACH)
        found = database[COLLECTION].aggregate(
            [{"$sample": {"size": 4 * PEOPLE}}, {"$group": {"_id": "$practitioner_id"}}, {"$limit": PEOPLE}]
        )
        return [str(each["_id"]) async for each in found]


@asynccontextmanager
async def _ours(stack: Stack, database: str, people: Sequence[str]) -> AsyncIterator[Target]:
    port, internal = _free_port(), _free_port()
    own = {"HTTP__PORT": str(port), "INTERNAL__PORT": str(internal), "MONGO__DATABASE": database}
    ready, ca = f"https://127.0.0.1:{internal}/readyz", str(stack.file["ca"])
    newcomers = [str(document["practitioner_id"]) for document in documents(PEOPLE)]
    async with stack.database(database) as opened:
        known = [{"_id": person, "version": 1, "birth_year": 1970} for person in newcomers]
        await opened[KNOWN_PRACTITIONERS].insert_many(known)
    tokens, news = ([stack.token(person) for person in each] for each in (people, newcomers))
    path = "/api/records/practitioners/me/records"
    requests = {
        "GET": [request("GET", path, token) for token in tokens],
        "POST": [request("POST", path, token, BODY) for token in news],
    }
    settings = stack.privileged("records-api") | own
    async with server("services.records", ["api"], settings, ready, ca) as process:
        yield Target(process, port, requests, ca)


@asynccontextmanager
async def _bare(stack: Stack, database: str, people: Sequence[str]) -> AsyncIterator[Target]:
    port = _free_port()
    own = {"HTTP__PORT": str(port), "MONGO__URL": stack.file["mongo"], "MONGO__DATABASE": database}
    news = [document["practitioner_id"] for document in documents(PEOPLE)]
    requests = {
        "GET": [request("GET", f"/practitioners/{person}/records") for person in people],
        "POST": [request("POST", f"/practitioners/{person}/records", body=BODY) for person in news],
    }
    async with server("bench.bare_api", [], own, f"http://127.0.0.1:{port}/ready") as process:
        yield Target(process, port, requests)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
