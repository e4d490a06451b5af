"""The faults of a sweep, drawn from a seed: what happens to which instance, for how long."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

from deploy.local.layout import CLUSTER, Instance
from deploy.local.supervisor import Supervisor
from tests.faults.injection import clocks, disks, network, processes
from tests.support.stack import RunningStack
from tests.sweep.roles import ROLES, holder

Mix = Literal["none", "cut", "kill", "pause", "clock", "roles", "all"]
MIXES: tuple[Mix, ...] = get_args(Mix)
SERVERS = ("kafka", "mongo", "redis", "s3")
ALONE = ("gateway", "balancer", "sms-carrier", "sentinel")
OURS = tuple(kind for kind in CLUSTER.counts if kind.endswith(("-api", "-worker")))
SHORTEST, LONGEST = 1.0, 8.0
"""Seconds: a fault is over before the next one."""
SKEWS = (3600.0, -3600.0, -86400.0)
STROBE_SECONDS = 0.1


@dataclass(frozen=True)
class Fault:
    """`target` is a kind of program, or a role that is looked up when the fault begins."""

    action: str
    target: str
    pick: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.action} {self.target} for {self.seconds:.1f} s"


def draw(mix: Mix, random: Random) -> Fault | None:
    """The next fault of a mix; none in a run without faults."""
    match mix:
        case "none":
            return None
        case "cut":
            action, targets = (
                random.choice(("isolate", "cut", "cut back", "split", "refuse", "lose", "slow")),
                (*SERVERS, *OURS),
            )
        case "kill":
            action = random.choice(("kill", "restart", "fill"))
            targets = SERVERS if action == "fill" else (*SERVERS, *OURS, *ALONE)
        case "pause":
            action, targets = "pause", (*SERVERS, *OURS)
        case "clock":
            action, targets = random.choice(("skew", "strobe")), OURS
        case "roles":
            action, targets = random.choice(("kill", "pause", "isolate", "split")), tuple(ROLES)
        case "all":
            return draw(random.choice(MIXES[1:-1]), random)
    seconds = random.uniform(SHORTEST, LONGEST)
    return Fault(action, random.choice(targets), random.random(), seconds)


@asynccontextmanager
async def in_effect(stack: RunningStack, fault: Fault) -> AsyncIterator[Instance | None]:
    """Provoke a fault for the length of the block; yields the instance that it hit, None if nothing has the role."""
    instance = await _found(stack, fault)
    if instance is None:
        yield None
        return
    async with _provoked(stack, fault, instance):
        yield instance


async def _found(stack: RunningStack, fault: Fault) -> Instance | None:
    if find := ROLES.get(fault.target):
        return await holder(stack, find)
    instances = stack.plan.layout.of(fault.target)
    return instances[int(fault.pick * len(instances))] if instances else None


def _provoked(stack: RunningStack, fault: Fault, instance: Instance) -> AbstractAsyncContextManager[None]:
    """The fault itself, by its name."""
    supervisor, others, pick = stack.supervisor, _others(stack, instance), fault.pick
    actions: dict[str, Callable[[], AbstractAsyncContextManager[None]]] = {
        "kill": lambda: _killed(supervisor, instance.name),
        "restart": lambda: processes.down(supervisor, instance.name),
        "pause": lambda: processes.paused(supervisor, instance.name),
        "isolate": lambda: network.isolate(instance),
        "cut": lambda: network.cut([instance], others),
        "cut back": lambda: network.cut(others, [instance]),
        "split": lambda: network.split([instance], others),
        "refuse": lambda: network.refuse(instance),
        "fill": lambda: disks.full(stack.plan.servers / instance.name),
        "lose": lambda: network.lose(instance, 0.05 + pick / 3),
        "slow": lambda: network.slow(instance, 200 + round(pick * 2000)),
        "skew": lambda: clocks.skewed(stack.plan.clocks, instance.name, SKEWS[int(pick * len(SKEWS))]),
        "strobe": lambda: _strobe(stack, instance),
    }
    return actions[fault.action]()


@asynccontextmanager
async def _killed(supervisor: Supervisor, name: str) -> AsyncIterator[None]:
    await processes.kill(supervisor, name)
    yield


def _others(stack: RunningStack, instance: Instance) -> Sequence[Instance]:
    """The other instances of the same kind, or for one that is alone the servers that it uses."""
    same = [each for each in stack.plan.layout.of(instance.kind) if each != instance]
    if instance.kind in SERVERS and same:
        return same
    return [each for kind in SERVERS for each in stack.plan.layout.of(kind)]


@asynccontextmanager
async def _strobe(stack: RunningStack, instance: Instance) -> AsyncIterator[None]:
    """Set the clock two seconds forward and back, ten times a second."""

    async def swing() -> None:
        while True:
            for skew in (2.0, -2.0):
                async with clocks.skewed(stack.plan.clocks, instance.name, skew):
                    await asyncio.sleep(STROBE_SECONDS)

    task = asyncio.create_task(swing())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
