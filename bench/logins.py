"""Rows: log-in: the cost of each step, how soon the carrier has a code, complete log-ins a second."""

from bench.endpoints import bare_insert
from bench.processes import measured
from bench.stack import Stack
from bench.table import Row

PEOPLE = 300
PACE = 20.0
P50 = 120.0
P99 = 500.0
FAILOVER_MS = 2_000.0
AT_ONCE, LOGINS_PER_SECOND = 12, 25.0


async def rows(stack: Stack) -> list[Row]:
    failovers = [await _failover(mode) for mode in ("refuse", "hang")]
    return [await _accepted(), *failovers, await _whole(), *await _steps(stack)]


async def _accepted() -> Row:
    found = await measured("bench.visiting", what="paced", people=PEOPLE, pace=PACE)
    reached = f"{found['p50_ms']:.0f} / {found['p99_ms']:.0f} ms"
    passed = found["p50_ms"] <= P50 and found["p99_ms"] <= P99
    name = f"code requested → accepted by the carrier, {PACE:.0f}/s"
    return Row(name, reached, "–", f"{P50:.0f} / {P99:.0f} ms", reached, passed, {"ours": found})


async def _failover(mode: str) -> Row:
    found = await measured("bench.visiting", what="paced", people=PEOPLE, pace=PACE, tencent=mode)
    reached = f"{found['longest_ms']:.0f} ms, {found['missing']} of {PEOPLE} unknown"
    what = {"refuse": "refuses", "hang": "hangs"}[mode]
    name = f"the first carrier {what}: code requested → accepted by the other one, the longest"
    passed = found["longest_ms"] <= FAILOVER_MS
    return Row(name, reached, "–", f"≤ {FAILOVER_MS:.0f} ms", reached, passed, {"ours": found})


async def _whole() -> Row:
    found = await measured("bench.visiting", what="whole", people=PEOPLE, at_once=AT_ONCE)
    reached = f"{found['per_second']:.0f}/s"
    required = f"≥ {LOGINS_PER_SECOND:.0f}/s"
    return Row(
        "complete log-ins", reached, "–", required, reached, found["per_second"] >= LOGINS_PER_SECOND, {"ours": found}
    )


async def _steps(stack: Stack) -> list[Row]:
    costs = await measured("bench.visiting", what="costs", people=PEOPLE)
    bare = 1000 / (await bare_insert(stack)).per_cpu_second
    return [
        Row(
            f"login: {name}, CPU a request (a bare insert beside it)",
            f"{cost:.2f} ms", f"{bare:.2f} ms", "–", f"{cost / bare:.1f} ×", True, {"ours": cost, "bare": bare},
        )
        for name, cost in costs.items()
    ]  # fmt: skip
