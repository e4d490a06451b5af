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
from bench.usage import SERVERS, Usage

FIGURES = Path("docs/capacity.json")
SECONDS, WARM_UP_SECONDS = 20.0, 10.0
PACES = {"create": 50, "edit": 50, "read": 100, "list": 50, "page": 20, "login": 8, "upload": 5, "feed": 20}
"""Requests a second: moderate ones, so that two cores are never full and nothing waits."""
FAST = 150
"""The pace of one more row: what a write costs when more of them share a transaction on Kafka."""


async def rows(stack: Stack) -> list[Row]:
    await measured("bench.requesting", kind="create", pace=FAST, seconds=WARM_UP_SECONDS)  # Java compiles what is busy
    idle = await _idle(stack)
    found = [await _row(stack, kind, pace, idle) for kind, pace in [*PACES.items(), ("create", FAST)]]
    return [_idle_row(idle), *found]


def save(rows: Sequence[Row]) -> None:
    """Write the figures of `make capacity`, which also needs the row of the publisher."""
    kinds = {row.figures["kind"]: row.figures for row in rows if "kind" in row.figures and row.figures["pace"] != FAST}
    fast = next(row.figures for row in rows if row.figures.get("pace") == FAST)
    idle = next(row.figures["idle"] for row in rows if "idle" in row.figures)
    publisher = next(row.figures["ours"] for row in rows if "our_cpu_us" in row.figures)
    loads = [float(str(each["load"])) for each in [*kinds.values(), fast]]
    content = {"measured": _circumstances(loads), "idle_per_second": idle, "kinds": kinds, "fast_create": fast}
    content["publisher_events_per_second"] = round(float(str(publisher)))
    FIGURES.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")


async def _idle(stack: Stack) -> Usage:
    """Return what the stack uses in a second without requests."""
    found = await measured("bench.requesting", kind="idle", pace=1, seconds=SECONDS)
    nothing = Usage({}, {}, {}, {}, {})
    return Usage(**found["used"]).per_request(found["seconds"], found["seconds"], nothing)


async def _row(stack: Stack, kind: str, pace: int, idle: Usage) -> Row:
    found = await measured("bench.requesting", kind=kind, pace=pace, seconds=SECONDS)
    requests = int(pace * SECONDS)
    cost = Usage(**found["used"]).per_request(requests, found["seconds"], idle)
    figures = {"kind": kind, "pace": pace, "requests": requests, "load": found["load"], **_kept(cost)}
    text = f"{sum(cost.cpu_ms.values()):.1f} ms"
    return Row(f"{kind}, {pace}/s: CPU of everything", text, "–", "–", _parts(cost.cpu_ms), True, figures)


def _idle_row(idle: Usage) -> Row:
    cores = sum(idle.cpu_ms.values()) / 1000
    texts = f"{cores:.2f} cores", "–", "–", _parts(idle.cpu_ms)
    return Row("idle: CPU of everything, ms a second", *texts, True, {"idle": _kept(idle)})


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


def _kept(usage: Usage) -> dict[str, object]:
    """Leave out what is zero."""
    return {name: {key: value for key, value in part.items() if value} for name, part in vars(usage).items()}


def _circumstances(loads: Sequence[float]) -> Answer:
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
        "cpu": model.partition(":")[2].strip(),
        "cores": os.cpu_count(),
        "load": f"{min(loads):.1f} to {max(loads):.1f}",
    }
