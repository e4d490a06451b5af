"""The load generator, in its own process: as fast as `concurrency` allows, or at a fixed rate (open loop)."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from statistics import quantiles
from typing import TypeVar

from bench.processes import Answer, answer
from bench.wire import Connection

Target = asyncio.Queue[Connection]
"""The idle connections to one server."""
T = TypeVar("T")


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return p50 and p99 in milliseconds."""
    cuts = quantiles(seconds, n=100)
    return {"p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000}


async def work(
    port: int, requests: list[str], seconds: float, concurrency: int = 16, pace: float = 0, ca: str = ""
) -> Answer:
    texts = itertools.cycle([text.encode() for text in requests])
    took: list[float] = []
    async with connections(port, concurrency, ca) as free:
        began = time.perf_counter()
        if pace:
            await at_pace(pace, seconds, lambda: _one(free, next(texts), took))
        else:
            await asyncio.gather(*(_again(free, texts, took, began + seconds) for _ in range(concurrency)))
        lasted = time.perf_counter() - began
    return {"requests": len(took), "per_second": len(took) / lasted, **percentiles(took)}


@asynccontextmanager
async def connections(port: int, count: int, ca: str = "") -> AsyncIterator[Target]:
    free: Target = asyncio.Queue()
    opened = [await Connection.open(port, ca) for _ in range(count)]
    for each in opened:
        free.put_nowait(each)
    yield free
    for each in opened:
        each.close()


async def at_pace(pace: float, seconds: float, one: Callable[[], Coroutine[None, None, None]]) -> None:
    """Start `pace` jobs a second, whether earlier ones have ended or not."""
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(pace * seconds)):
            await asyncio.sleep(max(0, began + number / pace - time.perf_counter()))
            group.create_task(one())


async def each(things: Iterable[T], act: Callable[[T], Awaitable[None]], at_once: int) -> None:
    room = asyncio.Semaphore(at_once)

    async def one(thing: T) -> None:
        async with room:
            await act(thing)

    await asyncio.gather(*map(one, things))


async def asked(free: Target, text: bytes) -> bytes:
    """Return the body of a 2xx response."""
    connection = await free.get()
    try:
        return bytes((await connection.ask(text))["content"])
    finally:
        free.put_nowait(connection)


async def _again(free: Target, texts: Iterator[bytes], took: list[float], until: float) -> None:
    while time.perf_counter() < until:
        await _one(free, next(texts), took)


async def _one(free: Target, text: bytes, took: list[float]) -> None:
    began = time.perf_counter()
    await asked(free, text)
    took.append(time.perf_counter() - began)


if __name__ == "__main__":
    answer(work)
