"""Row: time from a write through the API to its event at a subscriber, at a fixed rate (open loop)."""

from bench.processes import Answer, measured
from bench.samples import BODY
from bench.stack import Stack
from bench.table import Row
from kit import kafka

PACES = (100, 400)
SECONDS = 15.0
BARE_PACE, BARE_SECONDS = 50, 5.0
P50, P99 = 30.0, 100.0


async def rows(stack: Stack) -> list[Row]:
    async with kafka.admin(stack.kafka) as admin:
        await admin.create("bench.latency", 1, 1, {})
    port = stack.port("records")
    found = []
    for pace in PACES:
        bare = await measured("bench.arrivals", pace=BARE_PACE, seconds=BARE_SECONDS)
        ours = await measured("bench.arrivals", pace=pace, seconds=SECONDS, body=BODY, port=port)
        found.append(_row(pace, ours, bare))
    return found


def _row(pace: int, ours: Answer, bare: Answer) -> Row:
    """Make the row; it shows how busy the CPU was, because a full CPU explains delays."""
    before = ours["before"]
    return Row(
        f"create → event at a subscriber, {pace} writes/s, processors {ours['busy_percent']:.0f} % busy "
        "(insert + transaction alone beside it)",
        f"{_text(before)} ms; from the answer {_text(ours['answer'])}",
        f"{_text(bare)} ms",
        f"{P50:.0f} / {P99:.0f} ms",
        f"{_text(before)} ms",
        before["p50_ms"] <= P50 and before["p99_ms"] <= P99,
        {"ours": ours, "ceiling": bare},
    )


def _text(found: Answer) -> str:
    return f"{found['p50_ms']:.0f} / {found['p99_ms']:.0f}"
