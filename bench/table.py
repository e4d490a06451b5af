"""The result: a row for each measurement, with its ceiling of the same run."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULT = Path(".local/bench.json")


@dataclass(frozen=True)
class Row:
    """A measurement; `required` and `reached` are ratios or times."""

    name: str
    ours: str
    ceiling: str
    required: str
    reached: str
    passed: bool
    figures: dict[str, object] = field(default_factory=dict)


def at_least(name: str, ours: float, ceiling: float, share: float, unit: str, **figures: object) -> Row:
    """Make a row that must reach a share of its ceiling."""
    reached = ours / ceiling
    figures |= {"ours": ours, "ceiling": ceiling, "share": reached}
    texts = f"{ours:,.0f} {unit}", f"{ceiling:,.0f} {unit}", f"≥ {share:.0%}", f"{reached:.0%}"
    return Row(name, *texts, reached >= share, figures)


def show(rows: Sequence[Row]) -> bool:
    """Print the rows and write them to a file; returns whether all passed."""
    table = Table("what", "ours", "ceiling", "required", "reached", "")
    for row in rows:
        verdict = "[green]ok[/]" if row.passed else "[red]too little[/]"
        table.add_row(row.name, row.ours, row.ceiling, row.required, row.reached, verdict)
    console = Console(width=150)
    console.print(table)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=1) + "\n")
    console.print(f"written to {RESULT}")
    return all(row.passed for row in rows)
