"""`python -m bench [--only publisher,consumer]`, `… soak --minutes 5`, `… drill --records 100000` need STACK_FILE.

`python -m bench capacity` needs only what `--only cost,publisher --save` has kept.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from bench import (
    backlog,
    capacity_command,
    consumer,
    cost,
    drill,
    endpoints,
    forms,
    hashing,
    imports,
    latency,
    logins,
    memory,
    migration,
    pages,
    rush,
    scans,
    sealing,
    table,
)
from bench.stack import Stack

ROWS: dict[str, Callable[[Stack], Awaitable[list[table.Row]]]] = {
    "memory": memory.rows,
    "publisher": backlog.rows,
    "latency": latency.rows,
    "consumer": consumer.rows,
    "http": endpoints.rows,
    "logins": logins.rows,
    "hashing": hashing.rows,
    "pages": pages.rows,
    "forms": forms.rows,
    "scans": scans.rows,
    "sealing": sealing.rows,
    "imports": imports.rows,
    "migration": migration.rows,
    "million": endpoints.million_rows,
    "cost": cost.rows,
    "rush": rush.rows,
}
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(capacity_command.capacity)


@app.callback(invoke_without_command=True)
def measure(
    context: typer.Context,
    only: Annotated[str, typer.Option(help=", ".join(ROWS))] = "",
    save: Annotated[bool, typer.Option(help="keep the figures of cost and publisher in docs/capacity.json")] = False,
) -> None:
    """Measure everything, or the named rows; exits non-zero when one misses its requirement."""
    if context.invoked_subcommand is None:
        names = only.split(",") if only else list(ROWS)
        if save and not {"cost", "publisher"} <= set(names):
            raise typer.BadParameter("--save needs the rows cost and publisher")
        rows = asyncio.run(_measure(names))
        if save:
            cost.save(rows)
        _finish(rows)


@app.command()
def soak(minutes: float = 5) -> None:
    """Watch the memory of every process under a steady load."""
    _finish(asyncio.run(memory.soak(Stack.running(), minutes)))


@app.command("drill")
def drill_command(records: int = 100_000) -> None:
    """Back up that many records under load, lose the databases, restore them."""
    _finish(asyncio.run(drill.rows(Stack.running(), records)))


async def _measure(names: list[str]) -> list[table.Row]:
    stack, rows = Stack.running(), list[table.Row]()
    for name in names:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        for row in await ROWS[name](stack):
            print(f"  {row.name}: {row.reached}", file=sys.stderr, flush=True)  # a run that breaks off keeps these
            rows.append(row)
    return rows


def _finish(rows: list[table.Row]) -> None:
    if not table.show(rows):
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
