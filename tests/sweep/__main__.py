"""`python -m tests.sweep`: the load against the stack of STACK_FILE, then the report; exit code 1 on violations."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from tests.support.stack import RunningStack
from tests.sweep.load import sweep_load
from tests.sweep.verdict import DRAINED_WITHIN, Verdict, verdict


async def sweep(seconds: float, rate: float, seed: int | None, log: Path | None) -> Verdict:
    """Run the load for `seconds`; `log`: where to write the clients' log."""
    async with sweep_load(RunningStack.from_environment(), rate=rate, seed=seed) as load:
        await asyncio.sleep(seconds)
        result = await verdict(load, DRAINED_WITHIN)
        if log:
            load.history.write(log)
    return result


def main(
    seconds: Annotated[float, typer.Option(help="How long the load runs.")] = 30,
    minutes: Annotated[float, typer.Option(help="How long the load runs, in addition.")] = 0,
    rate: Annotated[float, typer.Option(help="Operations on records a second.")] = 30,
    seed: Annotated[int | None, typer.Option(help="Repeats the choices of an earlier run.")] = None,
    log: Annotated[Path | None, typer.Option(help="Where to write the clients' log.")] = None,
) -> None:
    """Run the load against the stack of STACK_FILE, and check it."""
    result = asyncio.run(sweep(seconds + 60 * minutes, rate, seed, log))
    print(result.text())
    raise typer.Exit(1 if result.violations else 0)


if __name__ == "__main__":
    typer.run(main)
