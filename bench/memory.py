"""Rows: the memory of each process at rest; and whether it stays flat under a steady load (`make soak`)."""

import asyncio
from collections.abc import Iterator
from statistics import linear_regression

import psutil

from bench.processes import measured
from bench.samples import BODY, documents
from bench.stack import Stack
from bench.table import Row
from bench.wire import request

AT_REST_MB = 115
SAMPLE_SECONDS = 5.0
FLAT_MB_A_MINUTE = 1.0
WRITES = 100
READS = 200
PEOPLE = 200
WARM_UP = 0.25  # of the samples: caches fill


async def rows(stack: Stack) -> list[Row]:
    return [_at_rest(name, used) for name, used in _memory(stack).items()]


def _at_rest(name: str, used: float) -> Row:
    text = f"{used:.0f} MB"
    return Row(f"memory at rest, {name}", text, "–", f"≤ {AT_REST_MB} MB", text, used <= AT_REST_MB, {"mb": used})


async def soak(stack: Stack, minutes: float) -> list[Row]:
    """Write and read at a steady rate; returns the slope of every process's memory after the warm-up."""
    load = asyncio.gather(_load(stack, "POST", WRITES, minutes), _load(stack, "GET", READS, minutes))
    samples: list[dict[str, float]] = []
    while not load.done():
        samples.append(_memory(stack))
        await asyncio.wait([load], timeout=SAMPLE_SECONDS)
    load.result()
    kept = samples[int(len(samples) * WARM_UP) :]
    return [_slope(name, [each[name] for each in kept]) for name in kept[0]]


def _slope(name: str, used: list[float]) -> Row:
    minutes = [number * SAMPLE_SECONDS / 60 for number in range(len(used))]
    slope = linear_regression(minutes, used).slope
    texts = f"{used[0]:.0f} → {used[-1]:.0f} MB", "–", f"≤ {FLAT_MB_A_MINUTE} MB/min", f"{slope:+.2f} MB/min"
    return Row(f"memory under load, {name}", *texts, slope <= FLAT_MB_A_MINUTE, {"mb": used, "slope": slope})


async def _load(stack: Stack, method: str, pace: int, minutes: float) -> None:
    people = [stack.token(document["practitioner_id"]) for document in documents(PEOPLE)]
    path = "/api/records/practitioners/me/records" + ("?limit=20" if method == "GET" else "")
    body = BODY if method == "POST" else None
    requests = [request(method, path, token, body) for token in people]
    await measured(
        "bench.load",
        port=stack.port("records"),
        requests=requests,
        seconds=minutes * 60,
        pace=pace,
        ca=stack.file["ca"],
    )


def _memory(stack: Stack) -> dict[str, float]:
    """Return the resident megabytes of our processes, by name; sandbox processes are children of their worker."""
    return {name: used for program, pid in stack.processes().items() for name, used in _family(program, pid)}


def _family(program: str, pid: int) -> Iterator[tuple[str, float]]:
    process = psutil.Process(pid)
    yield program, process.memory_info().rss / 1e6
    for number, child in enumerate(process.children(), 1):
        yield f"{program}, its process {number}", child.memory_info().rss / 1e6
