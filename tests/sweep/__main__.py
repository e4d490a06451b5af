"""`python -m tests.sweep`: load and faults against the stack of STACK_FILE, then the report; exit code 1 on violations.

Faults need a cluster: `make sweep` runs this with one. On any other stack only the mix `none` works.
"""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from deploy.local.environment import internals_of
from deploy.local.readiness import server_checks, service_checks, wait_for
from deploy.local.secrets import secrets_of
from tests.support.stack import RunningStack
from tests.sweep.faults import MIXES, Mix
from tests.sweep.load import sweep_load
from tests.sweep.report import Report, Round
from tests.sweep.schedule import EVERY_SECONDS, provoke
from tests.sweep.verdict import DRAINED_WITHIN, verdict

HEALED_WITHIN = 200
UNAUTHORIZED = 401
"""What a process with a wrong clock says of a token that is valid: allowed while clocks are wrong."""


async def sweep(seed: int, mixes: Sequence[Mix], seconds: float, rate: float, logs: Path | None) -> Report:
    """One round for each mix; `logs`: a folder for the report and the clients' logs, written after each round."""
    stack, report = RunningStack.from_environment(), Report(seed)
    for mix in mixes:
        done = await _round(stack, mix, f"{seed} {mix}", seconds, rate, logs)
        report.rounds.append(done)
        print(done.text(), flush=True)
        if logs:
            report.write(logs / "report.json")
    return report


async def _round(stack: RunningStack, mix: Mix, seed: str, seconds: float, rate: float, logs: Path | None) -> Round:
    workers = [url for name, url in internals_of(stack.plan).items() if name.startswith("records-worker")]
    async with sweep_load(stack, rate=rate, seed=random.Random(seed).getrandbits(32), workers=workers) as load:
        load.answers.tolerated = {UNAUTHORIZED} if mix in ("clock", "all") else set()
        hits = await provoke(stack, mix, random.Random(seed), seconds)
        healed = await _healed(stack)
        result = await verdict(load, DRAINED_WITHIN)
        if logs:
            load.history.write(logs / f"{mix}.jsonl")
    return Round.of(mix, hits, load.history.acknowledged_times(), healed, result)


async def _healed(stack: RunningStack) -> float:
    """Wait until every program is ready; returns the seconds that took."""
    began = monotonic()
    checks = [*server_checks(stack.plan, secrets_of(stack.plan)), *service_checks(stack.plan)]
    await wait_for(checks, HEALED_WITHIN, lambda _: None)
    return monotonic() - began


def main(
    minutes: Annotated[float, typer.Option(help="How long each mix of faults lasts.")] = 5,
    rate: Annotated[float, typer.Option(help="Operations on records a second.")] = 30,
    seed: Annotated[int, typer.Option(help="Repeats an earlier sweep.")] = random.SystemRandom().getrandbits(32),
    mix: Annotated[list[str] | None, typer.Option(help="Only this mix; may be repeated.")] = None,
    logs: Annotated[Path | None, typer.Option(help="A folder for the report and the clients' logs.")] = None,
) -> None:
    """Provoke faults in the cluster of STACK_FILE under load, and check what became of every write."""
    print(f"sweep seed: {seed}", flush=True)
    chosen = [each for each in MIXES if mix is None or each in mix]
    if logs:
        logs.mkdir(parents=True, exist_ok=True)
    report = asyncio.run(sweep(seed, chosen, 60 * minutes, rate, logs))
    print(f"{report.faults} faults, {report.acknowledged} acknowledged writes, {report.violations} violations")
    expected = 60 * minutes / EVERY_SECONDS * sum(each != "none" for each in chosen)
    if report.faults < expected / 2 or report.acknowledged < 60 * minutes * len(chosen):
        print("too few faults or acknowledged writes to prove anything")
        raise typer.Exit(1)
    raise typer.Exit(1 if report.violations else 0)


if __name__ == "__main__":
    typer.run(main)
