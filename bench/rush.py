"""Rows: mixed traffic of 1, 2, 4 and 8 times what the machine can do, and after it; a crowd that wants to log in."""

import os

from bench.processes import Answer, measured
from bench.rushing import OVERLOADS
from bench.stack import Stack
from bench.table import Row

SECONDS, AT_ONCE = float(os.environ.get("RUSH_SECONDS", "60")), 16
GOOD, LOGGED_IN = 0.9, 0.99
ACCEPTED_MS, REFUSED_MS, LATE_MS = 1000.0, 50.0, 50.0
MEMORY = 1.2


async def rows(_stack: Stack) -> list[Row]:
    found = await measured("bench.rushing", seconds=SECONDS, at_once=AT_ONCE)
    steps: dict[str, Answer] = found["steps"]
    peak = max(found["capacity"], *(steps[str(factor)]["good_per_second"] for factor in OVERLOADS))
    overloads = [_overload(factor, steps[str(factor)], peak) for factor in OVERLOADS]
    recoveries = [_recovery(factor, steps[f"after {factor}"]) for factor in OVERLOADS]
    return [*overloads, *recoveries, _crowd(steps["crowd"]), _memory(found)]


def _overload(factor: int, step: Answer, peak: float) -> Row:
    share = step["good_per_second"] / peak
    passed = (
        share >= GOOD
        and step["accepted_p99_ms"] <= ACCEPTED_MS
        and step["refused_p99_ms"] <= REFUSED_MS
        and not step["failed"]
    )
    accepted, refused = step["accepted_p99_ms"], step["refused_p99_ms"]
    ours = f"{step['good_per_second']:.0f}/s, p99 {accepted:.0f} ms, refused in {refused:.0f}"
    required = f"≥ {GOOD:.0%}, ≤ {ACCEPTED_MS:.0f}, ≤ {REFUSED_MS:.0f} ms, no failure"
    reached = f"{share:.0%}, {sum(step['failed'].values())} failed, generator late {step['late_p99_ms']:.0f} ms"
    return Row(f"rush: offered {factor} × capacity", ours, f"{peak:.0f}/s", required, reached, passed, step)


def _recovery(factor: int, step: Answer) -> Row:
    refused = sum(step["refused"].values()) + sum(step["failed"].values())
    reached = f"p99 {step['accepted_p99_ms']:.0f} ms, {refused} refused"
    passed = refused == 0 and step["accepted_p99_ms"] <= ACCEPTED_MS
    return Row(f"rush: 5 s after {factor} ×, half the capacity", reached, "–", "back to normal", reached, passed, step)


def _crowd(step: Answer) -> Row:
    good, kinds = step["good"], ("read", "save", "page", "upload")
    served = sum(good.get(kind, 0) for kind in kinds)
    lost = sum(step["refused"].get(kind, 0) for kind in kinds)
    lost += sum(count for kind, count in step["failed"].items() if not kind.startswith("log-in"))
    share = served / max(1, served + lost)
    reached = f"{share:.1%}; log-ins: {good.get('log-in', 0)} in, {step['waiting'].get('log-in', 0)} waited"
    passed = share >= LOGGED_IN and bool(step["waiting"])
    name = "rush: logged-in people while a crowd wants to log in"
    return Row(name, reached, "–", f"≥ {LOGGED_IN:.0%}", reached, passed, step)


def _memory(found: Answer) -> Row:
    before = found["memory_before"]
    most = max(step["memory_mb"] for step in found["steps"].values())
    texts = f"{most:.0f} MB", f"{before:.0f} MB", f"≤ {MEMORY:.1f} ×", f"{most / before:.2f} ×"
    return Row("rush: memory of all our processes", *texts, most <= before * MEMORY, {"before": before, "most": most})
