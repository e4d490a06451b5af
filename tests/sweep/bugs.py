"""`python -m tests.sweep.bugs`: seeded bugs that need a cluster, each in the processes of records, and what finds them.

The others run on one of each server: tests/faults/test_seeded_bugs.py. Exit code 1 if a bug is not found by the
expected invariant.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.environment import internals_of
from deploy.local.layout import Instance
from deploy.local.readiness import service_checks, wait_for
from deploy.local.stack import ROOT
from tests.faults.injection import network, processes
from tests.support.stack import RunningStack
from tests.support.waiting import eventually
from tests.sweep.code import checkout, run_code
from tests.sweep.load import sweep_load
from tests.sweep.roles import holder, leading_publisher, primary
from tests.sweep.verdict import DRAINED_WITHIN, verdict

READY_WITHIN = 120
ROUNDS = 3
RATE = 20.0
MAIN = "services/records/__main__.py"


@dataclass(frozen=True)
class Bug:
    """`found_by`: the invariants of which at least one must be violated; `seconds`: how long each fault lasts."""

    find: Callable[[RunningStack], Awaitable[Instance | None]]
    fault: Callable[[RunningStack, Instance], AbstractAsyncContextManager[None]]
    seconds: float
    found_by: frozenset[str]


def _from_its_like(stack: RunningStack, instance: Instance) -> AbstractAsyncContextManager[None]:
    """Cut an instance off from the others of its kind only: its clients still reach it."""
    return network.split([instance], [each for each in stack.plan.layout.of(instance.kind) if each != instance])


def _paused(stack: RunningStack, instance: Instance) -> AbstractAsyncContextManager[None]:
    """Pause an instance: unlike one that is cut off, it continues with the same producer."""
    return processes.paused(stack.supervisor, instance.name)


BUGS = {
    "w1": Bug(primary, _from_its_like, 9, frozenset({"I1", "L"})),
    "unfenced": Bug(leading_publisher, _paused, 15, frozenset({"I3", "I5", "I7"})),
}


# Kafka permits a service's user its own transactional id only; a bug may use another one.
_START = """\
import os

from tests.support.broken_process import apply

os.environ["KAFKA__USER"], os.environ["KAFKA__PASSWORD"] = "{user}", "{password}"
apply("{bug}")
"""


def _super_user(stack: RunningStack) -> dict[str, str]:
    return {"user": stack.facts["kafka_user"], "password": stack.facts["kafka_password"]}


@asynccontextmanager
async def with_bug(stack: RunningStack, bug: str) -> AsyncIterator[None]:
    """Run the processes of records with a seeded bug for the length of the block."""
    folder = checkout(stack, "HEAD", bug)
    main = folder / MAIN
    main.write_text(_START.format(bug=bug, **_super_user(stack)) + main.read_text())
    await _run(stack, folder)
    try:
        yield
    finally:
        await _run(stack, ROOT)


async def _run(stack: RunningStack, code: Path) -> None:
    instances = [each for role in ("api", "worker") for each in stack.plan.layout.of(f"records-{role}")]
    await run_code(stack, instances, code)
    await wait_for(service_checks(stack.plan), READY_WITHIN, lambda _: None)


async def violated(stack: RunningStack, bug: Bug) -> set[str]:
    """Provoke the fault several times under load; returns the invariants that were violated."""
    workers = [url for name, url in internals_of(stack.plan).items() if name.startswith("records-worker")]
    async with sweep_load(stack, rate=RATE, workers=workers) as load:
        for _ in range(ROUNDS):
            await asyncio.sleep(5)
            instance = await eventually(lambda: holder(stack, bug.find), 60, "an instance has the role", pause=0.5)
            assert instance is not None
            async with bug.fault(stack, instance):
                await asyncio.sleep(bug.seconds)
            await asyncio.sleep(10)
        result = await verdict(load, DRAINED_WITHIN)
    return {violation.invariant for violation in result.violations}


async def find_all(names: Sequence[str]) -> bool:
    """Try each bug; prints what found it."""
    stack, found_all = RunningStack.from_environment(), True
    for name in names:
        async with with_bug(stack, name):
            found = await violated(stack, BUGS[name])
        hit = bool(found & BUGS[name].found_by)
        print(f"{name:10} {'found' if hit else 'NOT FOUND'}: {', '.join(sorted(found)) or 'no violation'}", flush=True)
        found_all = found_all and hit
    return found_all


if __name__ == "__main__":
    raise SystemExit(0 if asyncio.run(find_all(list(BUGS))) else 1)
