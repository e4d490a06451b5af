"""The tables of `make capacity`, as Markdown: what the bench measured, and the arithmetic for each rate."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.capacity import (
    Figures,
    Plan,
    Process,
    a_day,
    brokers,
    busy_cores,
    cores,
    grown_bytes,
    kafka_cores,
    limits,
    log_bytes,
    per_write,
    process,
    programs,
    replica_sets,
    replicated,
)
from bench.cost import grouped
from kit.kafka.topics import Topic

RATES = (100, 1_000, 10_000)
GROUPS = ("gateway", "APIs", "workers", "kafka", "mongo", "redis", "s3")
GB, MB = 1e9, 1e6
Cells = Sequence[str]
AtRate = Callable[[float], float]


def page(figures: Figures, plan: Plan, topics: Sequence[Topic], most: Mapping[str, int]) -> str:
    """Return all tables, with a heading each."""
    parts = {
        "What a request costs": costs(figures, plan),
        "Processes": processes(figures, plan, most),
        "Servers": servers(figures, plan, topics),
        "What no longer suffices": reached(figures, plan, most),
    }
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in parts.items()) + "\n"


def table(head: Cells, rows: Sequence[Cells]) -> str:
    """Return a Markdown table with aligned columns; all but the first are aligned to the right."""
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    lines = [_line(row, widths) for row in [head, *rows]]
    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _line(cells: Cells, widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return f"| {first[0]:<{first[1]}} | " + " | ".join(f"{cell:>{width}}" for cell, width in others) + " |"


def costs(figures: Figures, plan: Plan) -> str:
    """Return CPU milliseconds by kind of request, and of a write with all that comes with it."""
    rows = [_costs(kind, f"{plan.mix[kind]:g}", figures.kinds[kind].cpu_ms) for kind in plan.mix]
    fast = _costs("create, three times as many a second", "–", figures.fast_create.cpu_ms)
    whole = _costs("a write, with all of these", "", per_write(figures.kinds, plan.mix).cpu_ms)
    idle = _costs("idle, each second", "", figures.idle.cpu_ms)
    return table(["CPU, ms", "for each write", "all", *GROUPS], [*rows, whole, fast, idle])


def _costs(name: str, share: str, cpu_ms: Mapping[str, float]) -> Cells:
    groups = grouped(cpu_ms)
    return [name, share, _number(sum(groups.values())), *(_number(groups.get(group, 0)) for group in GROUPS)]


def processes(figures: Figures, plan: Plan, most: Mapping[str, int]) -> str:
    """Return cores and instances of each process; a cell is `cores → instances`."""
    head = ["process", "ms a write", "idle", *(f"{rate:,}/s" for rate in RATES), "at most"]
    rows = [_process(name, figures, plan, most) for name in programs(figures)]
    return table(head, rows)


def _process(name: str, figures: Figures, plan: Plan, most: Mapping[str, int]) -> Cells:
    found = [process(name, figures, plan, rate) for rate in RATES]
    idle = figures.idle.cpu_ms.get(name, 0.0) / 1000
    limit = f"{most[name]}" if name in most else f"{plan.partitions}" if name.endswith("-worker") else ""
    return [name, _number(found[0].ms), _number(idle), *map(_instances, found), limit]


def _instances(found: Process) -> str:
    return f"{_number(found.cores)} → {'no number' if found.instances is None else f'{found.instances:,}'}"


def servers(figures: Figures, plan: Plan, topics: Sequence[Topic]) -> str:
    """Return cores, bytes and operations of the servers; the first column has what is multiplied by the rate."""
    rows = [*_mongo(figures, plan), *_kafka(figures, plan, topics), *_others(figures, plan), *_all(figures, plan)]
    return table(["", *(f"{rate:,}/s" for rate in RATES)], [[name, *map(_number, map(at, RATES))] for name, at in rows])


def _mongo(figures: Figures, plan: Plan) -> Iterator[tuple[str, AtRate]]:
    cpu, write = replicated("mongo", figures, plan), per_write(figures.kinds, plan.mix).mongo
    window = plan.window_hours / 24
    stored, oplog = write.get("stored_bytes", 0.0), write.get("oplog_bytes", 0.0)
    syncs, written = write.get("journal_syncs", 0.0), write.get("written_bytes", 0.0)
    yield f"MongoDB: cores of the primary, {cpu.leader:.2f} ms", lambda rate: cores(cpu.leader, rate)
    yield f"– of each secondary at most, {cpu.follower:.2f} ms", lambda rate: cores(cpu.follower, rate)
    yield f"– replica sets, {plan.server_cores} cores a member", lambda rate: replica_sets(cpu, plan, rate)
    yield f"– members, {plan.members} each", lambda rate: plan.members * replica_sets(cpu, plan, rate)
    yield (
        f"– oplog of {plan.window_hours:g} h, GB in each copy, {oplog / 1000:.1f} kB",
        lambda rate: a_day(oplog, plan, rate) * window / GB,
    )
    yield (
        f"– documents and indexes, GB a day in each copy, {stored / 1000:.1f} kB",
        lambda rate: a_day(stored, plan, rate) / GB,
    )
    yield f"– journal syncs a second at most, {syncs:.2f}", lambda rate: syncs * rate
    yield f"– written, MB/s in each copy, {written / 1000:.1f} kB", lambda rate: written * rate / MB


def _kafka(figures: Figures, plan: Plan, topics: Sequence[Topic]) -> Iterator[tuple[str, AtRate]]:
    cpu, write = replicated("kafka", figures, plan), per_write(figures.kinds, plan.mix)
    bytes_, events, grown = (
        sum(write.kafka_bytes.values()),
        sum(write.events.values()),
        grown_bytes(topics, figures, plan),
    )
    each = f"in each of {plan.members} copies"
    yield f"Kafka: events a second, {events:.2f}", lambda rate: events * rate
    yield (
        f"– cores of all brokers, {cpu.leader:.2f} + {plan.members - 1} × {cpu.follower:.2f} ms",
        lambda rate: kafka_cores(cpu, plan, rate),
    )
    yield f"– brokers, {plan.server_cores} cores each", lambda rate: brokers(cpu, plan, rate)
    yield f"– log, MB/s {each}, {bytes_ / 1000:.1f} kB", lambda rate: bytes_ * rate / MB
    yield f"– kept for a time, GB {each}", lambda rate: log_bytes(topics, figures, plan, rate) / GB
    yield f"– more for good a day at most, GB {each}", lambda rate: a_day(grown, plan, rate) / GB
    yield (
        "– disk of each broker, GB, after 30 days",
        lambda rate: (log_bytes(topics, figures, plan, rate) + 30 * a_day(grown, plan, rate))
        * plan.members / brokers(cpu, plan, rate) / GB,
    )  # fmt: skip


def _others(figures: Figures, plan: Plan) -> Iterator[tuple[str, AtRate]]:
    write = per_write(figures.kinds, plan.mix)
    stored = write.s3.get("stored_bytes", 0.0) * plan.copies
    for name, title in {"redis": "Redis", "s3": "S3", "gateway": "gateway"}.items():
        ms = write.cpu_ms.get(name, 0.0)
        yield f"{title}: cores, {ms:.2f} ms", lambda rate, ms=ms: cores(ms, rate)  # type: ignore[misc]
    yield f"S3: {plan.copies} copies, MB/s, {stored / 1000:.1f} kB", lambda rate: stored * rate / MB
    yield "– more a day, TB", lambda rate: a_day(stored, plan, rate) / 1e12


def _all(figures: Figures, plan: Plan) -> Iterator[tuple[str, AtRate]]:
    yield "**All: busy cores**", lambda rate: busy_cores(figures, plan, rate)
    yield f"**– cores, {plan.utilisation:.0%} busy**", lambda rate: busy_cores(figures, plan, rate) / plan.utilisation


def reached(figures: Figures, plan: Plan, most: Mapping[str, int]) -> str:
    """Return the limits in the order in which a growing rate reaches them."""
    rows = [[limit.what, f"{limit.writes:,.0f}", limit.then] for limit in limits(figures, plan, most)]
    return table(["what", "writes/s", "what then"], rows)


def _number(value: float) -> str:
    """Return three digits that count: 0.012, 1.23, 45.6, 1,230."""
    if value == 0 or abs(value) < 0.0005:
        return "0"
    if isinstance(value, int) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"
