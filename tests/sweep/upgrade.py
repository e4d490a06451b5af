"""`python -m tests.sweep.upgrade`: a rolling upgrade of a cluster under load, one instance after the other, and back.

Every instance starts with the code of an earlier revision, gets that of this checkout, and then the earlier one again.
Exit code 1 if the check of all writes finds a violation.
"""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from deploy.local.environment import internals_of
from deploy.local.layout import Instance
from deploy.local.ports import ONLY_API, SERVICES
from deploy.local.programs import service_programs
from deploy.local.readiness import Check, service_checks, wait_for
from deploy.local.stack import ROOT
from tests.support.stack import RunningStack
from tests.sweep.code import checkout, run_code
from tests.sweep.load import SweepLoad, sweep_load
from tests.sweep.verdict import DRAINED_WITHIN, verdict

READY_WITHIN = 120
SETTLES_SECONDS = 3.0
"""Between two instances: the balancer and the groups know the new one."""


@dataclass(frozen=True)
class Cluster:
    """The cluster, and the checkout of the earlier revision."""

    stack: RunningStack
    before: Path

    @property
    def instances(self) -> list[Instance]:
        """Our processes, in the order in which an upgrade replaces them: all of a service before the next one."""
        names = service_programs(self.stack.plan)
        return [each for each in self.stack.plan.layout.instances if each.name in names]

    async def start_all(self, code: Path) -> None:
        """Run all instances with this code."""
        await run_code(self.stack, self.instances, code)
        await wait_for(service_checks(self.stack.plan), READY_WITHIN, lambda _: None)

    async def replace_each(self, code: Path) -> None:
        """Stop one instance after the other and start it with this code; the next one when it is ready."""
        for instance in self.instances:
            await run_code(self.stack, [instance], code)
            await wait_for(self._checks(instance), READY_WITHIN, lambda _: None)
            await asyncio.sleep(SETTLES_SECONDS)

    def _checks(self, instance: Instance) -> list[Check]:
        return [check for check in service_checks(self.stack.plan) if check.name == instance.name]

    def migrate(self, code: Path) -> None:
        """Change what the earlier release stored, as before every upgrade."""
        for service in (each for each in SERVICES if each not in ONLY_API):
            environment = os.environ | self.stack.environment(f"{service}-worker")
            subprocess.run(
                [sys.executable, "-m", f"services.{service}", "migrate"], cwd=code, env=environment, check=True
            )


async def upgrade(revision: str, rate: float) -> bool:
    """Upgrade and downgrade under load; prints what clients saw. Returns whether nothing was violated."""
    stack = RunningStack.from_environment()
    cluster = Cluster(stack, checkout(stack, revision, "before"))
    await cluster.start_all(cluster.before)
    workers = [url for name, url in internals_of(stack.plan).items() if name.startswith("records-worker")]
    async with sweep_load(stack, rate=rate, workers=workers) as load:
        await asyncio.sleep(5)
        await asyncio.to_thread(cluster.migrate, ROOT)
        for name, code in ((f"from {revision} to this checkout", ROOT), ("and back", cluster.before)):
            await _timed(name, cluster, code, load)
        result = await verdict(load, DRAINED_WITHIN)
    print(result.text())
    await cluster.start_all(ROOT)
    return not result.violations


async def _timed(name: str, cluster: Cluster, code: Path, load: SweepLoad) -> None:
    began, before = monotonic(), Counter(load.answers.statuses)
    await cluster.replace_each(code)
    seen = load.answers.statuses - before
    failed = {status: count for status, count in seen.items() if not status.isdigit() or int(status) >= 500}
    took = f"{len(cluster.instances)} instances in {monotonic() - began:.0f} s"
    print(f"{name}: {took}; {seen.total()} answers, of them failed: {failed or 'none'}", flush=True)


def main(
    before: Annotated[str, typer.Option(help="The revision that is upgraded.")],
    rate: Annotated[float, typer.Option(help="Operations on records a second.")] = 20,
) -> None:
    """Upgrade the cluster of STACK_FILE from an earlier revision and back, under load."""
    raise typer.Exit(0 if asyncio.run(upgrade(before, rate)) else 1)


if __name__ == "__main__":
    typer.run(main)
