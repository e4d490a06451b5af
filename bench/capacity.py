"""From what a request costs to cores, processes and disks at a rate of writes: pure functions, each with its units."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Self

from bench.usage import CHILDREN, SERVERS, Usage
from kit.kafka.topics import Topic

LEAST = 2
"""Instances of each process, so that one may be lost or replaced."""
DAY_SECONDS, DAY_MS, GIB = 86_400, 86_400_000.0, 2**30
DEFAULT_SEGMENT_MS = 7 * DAY_MS  # Kafka's segment.ms; its segment.bytes is 1 GiB
REDESIGN = "a change of the design"
WRITING = frozenset({"create", "edit", "login", "upload"})
"""Kinds of request that write documents and events, which every member of a replica set and every replica stores."""
REPLICATED = ("kafka", "mongo")
EVERY_INSTANCE = "subscriptions-api"
"""Each of its instances reads all events of records into memory, so more instances don't divide that work."""


@dataclass(frozen=True)
class Plan:
    """Assumptions: what comes with a write, and how the installation is built.

    `mix`: requests of each kind for one write. `utilisation`: the share of each core that is used at the rate.
    `members`: of a replica set of MongoDB, and replicas of a Kafka partition. `hours`: of each day with that rate.
    `window_hours`: what the oplog covers. `server_cores`: of the largest server for MongoDB or Kafka.
    """

    mix: Mapping[str, float]
    utilisation: float = 0.5
    members: int = 3
    copies: int = 2
    hours: float = 8
    window_hours: float = 72
    server_cores: int = 16
    partitions: int = 24
    sandboxes: int = 2


@dataclass(frozen=True)
class Figures:
    """What was measured: what an idle stack uses in a second, and each kind of request; events/s of a publisher."""

    idle: Usage
    kinds: Mapping[str, Usage]
    fast_create: Usage
    publisher: float
    measured: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `--save` wrote."""
        content = json.loads(path.read_text())
        kinds = content["kinds"]
        each_idle = {name: Usage(**each["idle_per_second"]) for name, each in kinds.items()}
        return cls(
            idle=per_write(each_idle, dict.fromkeys(kinds, 1 / len(kinds))),  # their mean
            kinds={name: Usage(**each["cost"]) for name, each in kinds.items()},
            fast_create=Usage(**content["fast_create"]["cost"]),
            publisher=content["publisher_events_per_second"],
            measured=content["measured"],
        )


@dataclass(frozen=True)
class Limit:
    """The rate (writes/s) at which one of something no longer suffices, and what then has to be done."""

    what: str
    writes: float
    then: str


def per_write(kinds: Mapping[str, Usage], mix: Mapping[str, float], only: Collection[str] = ()) -> Usage:
    """Return what a write uses together with the requests that come with it; `only`: the part of these kinds."""
    found = Usage({}, {}, {}, {}, {})
    for kind in [each for each in mix if not only or each in only]:
        for name, part in vars(found).items():
            for key, amount in getattr(kinds[kind], name).items():
                part[key] = part.get(key, 0.0) + amount * mix[kind]
    return found


def cores(ms: float, per_second: float) -> float:
    """Return how many cores are busy: CPU milliseconds each time × times a second ÷ 1,000."""
    return ms * per_second / 1000


def instances(shared: float, each: float, utilisation: float) -> int | None:
    """Return how many processes of one core each are needed; `None` if no number is enough.

    `shared`: cores of work that they divide; `each`: cores that every one of them uses in addition.
    """
    room = utilisation - each
    return max(LEAST, ceil(shared / room)) if room > 0 else None


@dataclass(frozen=True)
class Process:
    """A program at a rate: its CPU ms for a write; busy cores of all its instances; `None`: no number is enough."""

    name: str
    ms: float
    cores: float
    instances: int | None


def process(name: str, figures: Figures, plan: Plan, rate: float) -> Process:
    """Return what the rate (writes/s) needs of a program, or of its sandboxes (name + `CHILDREN`)."""
    write, idle = per_write(figures.kinds, plan.mix).cpu_ms, cores(figures.idle.cpu_ms.get(name, 0.0), 1)
    every = read_by_every_instance(figures, plan) if name == EVERY_INSTANCE else 0.0
    ms = write.get(name, 0.0)
    each = idle + cores(every, rate)
    shared = cores(ms - every, rate)
    count = instances(shared, each, plan.utilisation)
    if count is not None and write.get(name + CHILDREN):
        sandboxes = process(name + CHILDREN, figures, plan, rate).instances or 0
        count = max(count, ceil(sandboxes / plan.sandboxes))
    return Process(name, ms, shared + each * (count or 1), count)


def read_by_every_instance(figures: Figures, plan: Plan) -> float:
    """Return the CPU milliseconds that every instance of `EVERY_INSTANCE` needs for a write's events."""
    return per_write(figures.kinds, plan.mix, WRITING).cpu_ms.get(EVERY_INSTANCE, 0.0)


def programs(figures: Figures) -> list[str]:
    """Return our own programs, sandboxes included."""
    return sorted({name for each in [figures.idle, *figures.kinds.values()] for name in each.cpu_ms} - set(SERVERS))


@dataclass(frozen=True)
class Replicated:
    """CPU milliseconds of a write on a server's leader (or primary), and at most on each follower (or secondary)."""

    leader: float
    follower: float


def replicated(server: str, figures: Figures, plan: Plan) -> Replicated:
    """Count reads on the leader alone, and on a follower as much for a write as on the leader, which is an upper bound.

    A follower stores the same bytes, but answers no client, wakes no change stream and coordinates no transaction.
    """
    leader = per_write(figures.kinds, plan.mix).cpu_ms.get(server, 0.0)
    return Replicated(leader, per_write(figures.kinds, plan.mix, WRITING).cpu_ms.get(server, 0.0))


def replica_sets(mongo: Replicated, plan: Plan, rate: float) -> int:
    """Return how many primaries of `server_cores` the rate (writes/s) needs."""
    return max(1, ceil(cores(mongo.leader, rate) / (plan.utilisation * plan.server_cores)))


def kafka_cores(kafka: Replicated, plan: Plan, rate: float) -> float:
    """Return the cores of all brokers together: each event once on its leader, and on the other replicas."""
    return cores(kafka.leader + kafka.follower * (plan.members - 1), rate)


def brokers(kafka: Replicated, plan: Plan, rate: float) -> int:
    """Return how many brokers of `server_cores` the rate (writes/s) needs, at least one for each replica."""
    return max(plan.members, ceil(kafka_cores(kafka, plan, rate) / (plan.utilisation * plan.server_cores)))


def busy_cores(figures: Figures, plan: Plan, rate: float) -> float:
    """Return the cores that everything uses at the rate (writes/s), idle work of all processes and servers included."""
    write, mongo = per_write(figures.kinds, plan.mix).cpu_ms, replicated("mongo", figures, plan)
    ours = sum(process(name, figures, plan, rate).cores for name in programs(figures))
    single = sum(write.get(name, 0.0) for name in SERVERS if name not in REPLICATED)
    members = {name: plan.members if name in REPLICATED else 1 for name in SERVERS}
    idle = sum(figures.idle.cpu_ms.get(name, 0.0) * count for name, count in members.items()) / 1000
    kafka = kafka_cores(replicated("kafka", figures, plan), plan, rate)
    return ours + idle + kafka + cores(mongo.leader + (plan.members - 1) * mongo.follower + single, rate)


def a_day(amount: float, plan: Plan, rate: float) -> float:
    """Return a day's amount: that of a write × writes/s × the seconds of its busy hours."""
    return amount * rate * plan.hours / 24 * DAY_SECONDS


def kept_bytes(topic: Topic, daily: float, partitions: int) -> float:
    """Return the bytes of a topic's log that are kept for a time, for one replica; `daily`: bytes a day.

    All versions until they are compacted or deleted, and one segment more in each partition: the newest one stays until
    it is full (1 GiB) or old (`segment.ms`). A topic without an end of its time grows: its bytes are in `grown_bytes`.
    """
    kept = float(topic.config.get("max.compaction.lag.ms") or topic.config.get("retention.ms", "-1"))
    segment = float(topic.config.get("segment.ms", DEFAULT_SEGMENT_MS))
    newest = min(daily * segment / DAY_MS, (topic.partitions or partitions) * GIB)
    return daily * max(0.0, kept) / DAY_MS + newest


def log_bytes(topics: Iterable[Topic], figures: Figures, plan: Plan, rate: float) -> float:
    """Return the bytes that all topics keep for a time, for one replica."""
    write = per_write(figures.kinds, plan.mix).kafka_bytes
    daily = [(topic, a_day(write.get(topic.name, 0.0), plan, rate)) for topic in topics]
    return sum(kept_bytes(topic, each, plan.partitions) for topic, each in daily)


def grown_bytes(topics: Iterable[Topic], figures: Figures, plan: Plan) -> float:
    """Return the bytes of a write that compacted topics keep for good, at most: the events of all but edits."""
    write = per_write(figures.kinds, plan.mix, set(plan.mix) - {"edit"}).kafka_bytes
    return sum(write.get(topic.name, 0.0) for topic in topics if topic.config.get("cleanup.policy") == "compact")


def limits(figures: Figures, plan: Plan, most: Mapping[str, int]) -> list[Limit]:
    """Return the limits in the order in which a growing rate reaches them; `most`: the chart's replicas of APIs."""
    found = [*_publishers(figures, plan), *_processes(figures, plan, most), *_servers(figures, plan)]
    return sorted(found, key=lambda limit: limit.writes)


def _publishers(figures: Figures, plan: Plan) -> Iterator[Limit]:
    for service, events in per_write(figures.kinds, plan.mix).events.items():
        if events:
            rate = plan.utilisation * figures.publisher / events
            yield Limit(f"the one publisher of {service}, {events:.2f} events a write", rate, REDESIGN)


def _processes(figures: Figures, plan: Plan, most: Mapping[str, int]) -> Iterator[Limit]:
    every = read_by_every_instance(figures, plan)
    if every:
        yield Limit(f"each {EVERY_INSTANCE} reads every event", _room(EVERY_INSTANCE, figures, plan) / every, REDESIGN)
    for name in programs(figures):
        many = most.get(name, plan.partitions if name.endswith("-worker") else 0)
        then = "more partitions: new topics" if name.endswith("-worker") else "raise `most` in the chart's values"
        if many and name != EVERY_INSTANCE and (found := _full(name, many, figures, plan)):
            yield Limit(f"{many} of {name}", found, then)


def _full(name: str, many: int, figures: Figures, plan: Plan) -> float:
    """Return the rate (writes/s) at which so many instances, or their sandboxes, are full; 0 without any cost."""
    write = per_write(figures.kinds, plan.mix).cpu_ms
    counts = {name: many, name + CHILDREN: many * plan.sandboxes}
    rates = [count * _room(each, figures, plan) / write[each] for each, count in counts.items() if write.get(each)]
    return min(rates, default=0.0)


def _room(name: str, figures: Figures, plan: Plan) -> float:
    """Return the CPU milliseconds a second that an instance may use for requests."""
    return plan.utilisation * 1000 - figures.idle.cpu_ms.get(name, 0.0)


def _servers(figures: Figures, plan: Plan) -> Iterator[Limit]:
    """MongoDB's primary of `server_cores`; Redis, which runs commands on one core."""
    redis = per_write(figures.kinds, plan.mix).cpu_ms.get("redis")
    if redis:
        yield Limit("Redis on one core", plan.utilisation * 1000 / redis, "its own Redis for a service; then a cluster")
    if mongo := replicated("mongo", figures, plan).leader:
        rate = plan.utilisation * plan.server_cores * 1000 / mongo
        name = f"one primary of MongoDB with {plan.server_cores} cores"
        yield Limit(name, rate, "a replica set for each service; then sharding by person")
