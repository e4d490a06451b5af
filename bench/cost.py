"""Rows: what one request of each kind costs the whole stack, its consequences included; `--save` keeps the figures."""

import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.processes import Answer, measured
from bench.stack import Stack
from bench.table import Row
from bench.usage import SERVERS

FIGURES = Path("docs/capacity.json")
SECONDS, WARM_UP_SECONDS = 12.0, 10.0
PACES = {"create": 50, "edit": 50, "read": 100, "list": 50, "page": 20, "login": 8, "upload": 5, "feed": 20}
"""Requests a second: moderate ones, so that two cores are never full and nothing waits."""
FAST = 150
"""The pace of one more row: what a write costs when more of them share a transaction on Kafka."""


async def rows(stack: Stack) -> list[Row]:
    await measured("bench.requesting", kind="create", pace=FAST, seconds=WARM_UP_SECONDS)  # Java compiles what is busy
    return [await _row(kind, pace) for kind, pace in [*PACES.items(), ("create", FAST)]]


def save(rows: Sequence[Row]) -> None:
    """Write the figures of `make capacity`, which also needs the row of the publisher."""
    found = [row.figures for row in rows if "kind" in row.figures]
    kinds, fast = {str(each["kind"]): each for each in found if each["pace"] != FAST}, found[-1]
    publisher = next(row.figures["ours"] for row in rows if "our_cpu_us" in row.figures)
    rate = round(float(str(publisher)))
    content = {
        "measured": _circumstances(found),
        "kinds": kinds,
        "fast_create": fast,
        "publisher_events_per_second": rate,
    }
    FIGURES.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")


async def _row(kind: str, pace: int) -> Row:
    found = await measured("bench.requesting", kind=kind, pace=pace, seconds=SECONDS)
    cpu_ms = found["cost"]["cpu_ms"]
    figures = {"kind": kind, "pace": pace, "load": round(found["load"], 1)}
    figures |= {"cost": _kept(found["cost"]), "idle_per_second": _kept(found["idle"])}
    text = f"{sum(cpu_ms.values()):.1f} ms"
    return Row(f"{kind}, {pace}/s: CPU of everything", text, "–", "–", _parts(cpu_ms), True, figures)


def _parts(cpu_ms: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {cost:.1f}" for name, cost in grouped(cpu_ms).items())


def grouped(cpu_ms: Mapping[str, float]) -> dict[str, float]:
    """Return the sums of servers, of `APIs` and of `workers`."""
    groups = defaultdict[str, float](float)
    for program, cost in cpu_ms.items():
        groups[_group(program)] += cost
    return dict(groups)


def _group(program: str) -> str:
    if program in SERVERS:
        return program
    return "workers" if "-worker" in program else "APIs"


def _kept(usage: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Leave out what is zero or below, which is the noise of idle work."""
    return {name: {key: round(each, 4) for key, each in part.items() if each > 0} for name, part in usage.items()}


def _circumstances(found: Sequence[Mapping[str, object]]) -> Answer:
    loads = [float(str(each["load"])) for each in found]
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
        "cpu": model.partition(":")[2].strip(),
        "cores": os.cpu_count(),
        "load": f"{min(loads):.1f} to {max(loads):.1f}",
    }
