"""`python -m tests.sweep.failover`: how soon a cluster works again after each kind of failure, under load.

Each failure is provoked several times. The table has the bound of each (docs/reliability.md); exit code 1 if one is not
kept, or if the check of all writes finds a violation.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from statistics import median
from time import monotonic
from typing import Annotated

import httpx2
import typer

from deploy.local.environment import internals_of
from deploy.local.layout import Instance
from kit.redis import RedisServer
from tests.faults.injection import network, processes
from tests.support.stack import RunningStack
from tests.support.waiting import eventually
from tests.sweep.load import SweepLoad, sweep_load
from tests.sweep.roles import (
    Find,
    holder,
    leading_publisher,
    primary,
    redis_master,
    replicas_are_in_sync,
    transaction_coordinator,
)
from tests.sweep.schedule import EVERY_SECONDS, longest_pause
from tests.sweep.verdict import DRAINED_WITHIN, verdict

RECOVERED_SECONDS = 25.0
"""Between failures: everything is as before then."""
READS_A_SECOND = 40
Measure = Callable[["Cluster"], Awaitable[float]]


@dataclass(frozen=True)
class Cluster:
    """The cluster under load."""

    stack: RunningStack
    load: SweepLoad
    random: Random

    async def with_role(self, find: Find) -> Instance:
        """The instance that has a role; waits until one has it."""
        found = await eventually(lambda: holder(self.stack, find), 30, "an instance has the role", pause=0.2)
        assert found is not None
        return found

    async def replicas_are_in_sync(self) -> bool:
        with suppress(Exception):  # a broker may be starting
            return await replicas_are_in_sync(self.stack)
        return False

    def any_of(self, kind: str) -> Instance:
        return self.random.choice(self.stack.plan.layout.of(kind))

    async def kill(self, instance: Instance) -> float:
        """Kill an instance; returns when, by the monotonic clock."""
        await processes.kill(self.stack.supervisor, instance.name)
        return monotonic()


async def primary_killed(cluster: Cluster) -> float:
    """MongoDB's primary is killed: the longest time without an acknowledged write."""
    began = await cluster.kill(await cluster.with_role(primary))
    await asyncio.sleep(RECOVERED_SECONDS)
    return longest_pause(cluster.load.history.acknowledged_times(), began, began + EVERY_SECONDS)


async def broker_killed(cluster: Cluster) -> float:
    """The broker of the publisher's transactions is lost: the longest time from a write to its event on the feed.

    It stays down meanwhile: on one machine its start would take the processor from the others.
    """
    await eventually(cluster.replicas_are_in_sync, 300, "the broker killed before has caught up", pause=1)
    coordinator = await cluster.with_role(transaction_coordinator)
    began = await cluster.kill(coordinator)
    async with processes.down(cluster.stack.supervisor, coordinator.name):
        await asyncio.sleep(RECOVERED_SECONDS)
    return _latest_event(cluster.load, began)


async def publisher_cut_off(cluster: Cluster) -> float:
    """The leading publisher is cut off, not killed: the time until another one leads."""
    leader = await cluster.with_role(leading_publisher)
    began = monotonic()
    async with network.isolate(leader):
        await eventually(lambda: _another_leads(cluster.stack, leader), 60, "another publisher leads", pause=0.1)
        took = monotonic() - began
        await asyncio.sleep(5)
    await asyncio.sleep(RECOVERED_SECONDS)
    return took


async def api_killed(cluster: Cluster) -> float:
    """An API instance is killed while clients read: the number of failed reads; the clients do not retry."""
    readers = asyncio.create_task(_failed_reads(cluster, EVERY_SECONDS))
    await asyncio.sleep(2)
    await cluster.kill(cluster.any_of("records-api"))
    failed = await readers
    await asyncio.sleep(EVERY_SECONDS)
    return failed


async def redis_killed(cluster: Cluster) -> float:
    """The master of Redis is paused, so that its replica is promoted: the time until a value can be written."""
    paused = await cluster.with_role(redis_master)
    began = monotonic()
    async with (
        processes.paused(cluster.stack.supervisor, paused.name),
        RedisServer(cluster.stack.redis, "failover") as server,
    ):
        await asyncio.sleep(0.1)

        async def written() -> bool:
            try:
                await server.cache.put("written", "yes", 60)
            except Exception:  # unavailable until the replica is the master
                return False
            return True

        await eventually(written, 60, "Redis takes writes", pause=0.1)
        took = monotonic() - began
    await asyncio.sleep(RECOVERED_SECONDS)
    return took


@dataclass(frozen=True)
class Failure:
    """What is measured, its unit, and what it must not exceed (None: no bound is promised)."""

    measure: Measure
    unit: str
    bound: float | None


FAILURES = {
    "primary killed: pause of writes": Failure(primary_killed, "s", 12),
    "broker killed: an event's delay": Failure(broker_killed, "s", 10),
    "publisher cut off: until another leads": Failure(publisher_cut_off, "s", 8),
    "API instance killed: failed reads": Failure(api_killed, "", 0),
    "Redis paused: until it takes writes": Failure(redis_killed, "s", None),
}


async def measure(seed: int, times: int, rate: float, only: str = "") -> bool:
    """Provoke every failure `times`, print the table; returns whether every bound was kept and nothing violated."""
    stack, random = RunningStack.from_environment(), Random(seed)
    workers = [url for name, url in internals_of(stack.plan).items() if name.startswith("records-worker")]
    kept = True
    async with sweep_load(stack, rate=rate, seed=seed, workers=workers) as load:
        cluster = Cluster(stack, load, random)
        await asyncio.sleep(5)
        for name, failure in ((name, each) for name, each in FAILURES.items() if name.startswith(only)):
            found = [await failure.measure(cluster) for _ in range(times)]
            good = failure.bound is None or max(found) <= failure.bound
            kept = kept and good
            print(f"{name:40} {_figures(found, failure)}{'' if good else '  TOO LATE'}", flush=True)
        result = await verdict(load, DRAINED_WITHIN)
    print(result.text())
    return kept and not result.violations


def _figures(found: list[float], failure: Failure) -> str:
    values = ", ".join(f"{value:.1f}" if failure.unit else f"{value:.0f}" for value in found)
    bound = "" if failure.bound is None else f", bound {failure.bound:g}"
    return f"median {median(found):.1f} {failure.unit} ({values}){bound}"


def _latest_event(load: SweepLoad, since: float) -> float:
    answered = {
        (each.record, each.version): each.returned
        for each in load.history.operations
        if each.kind != "read" and each.outcome == "ok" and since - 2 <= each.returned <= since + EVERY_SECONDS
    }
    arrived: dict[tuple[str, int | None], float] = {}
    for each in load.history.deliveries:
        if each.channel == "feed":
            arrived.setdefault((each.record, each.version), each.at)
    return max((arrived.get(key, monotonic()) - returned for key, returned in answered.items()), default=0.0)


async def _another_leads(stack: RunningStack, leader: Instance) -> bool:
    found = await holder(stack, leading_publisher)
    return found is not None and found != leader


async def _failed_reads(cluster: Cluster, seconds: float) -> float:
    """Read a record again and again by new connections and old ones; returns how many reads failed."""
    dossier = next(each for each in cluster.load.dossiers.places if each.known)
    record, end, failed = next(iter(dossier.known)), monotonic() + seconds, 0

    async def read() -> None:
        nonlocal failed
        try:
            failed += (await dossier.person.get(record)).status_code not in (200, 404)
        except httpx2.TransportError:
            failed += 1

    tasks: set[asyncio.Task[None]] = set()
    while monotonic() < end:
        tasks.add(asyncio.create_task(read()))
        await asyncio.sleep(1 / READS_A_SECOND)
    await asyncio.gather(*tasks)
    return failed


def main(
    times: Annotated[int, typer.Option(help="How often each failure is provoked.")] = 3,
    rate: Annotated[float, typer.Option(help="Operations on records a second.")] = 20,
    seed: Annotated[int, typer.Option(help="Repeats the choices of an earlier run.")] = 1,
    only: Annotated[str, typer.Option(help="Only failures whose name begins with this.")] = "",
) -> None:
    """Provoke each kind of failure in the cluster of STACK_FILE, and measure how soon it works again."""
    raise typer.Exit(0 if asyncio.run(measure(seed, times, rate, only)) else 1)


if __name__ == "__main__":
    typer.run(main)
