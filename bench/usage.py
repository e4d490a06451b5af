"""What the stack has used so far: CPU time of each program, and bytes that the servers keep. Counters only grow."""

import re
import ssl
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

from bench.processes import cpu_seconds
from bench.stack import Stack

SERVERS = ("gateway", "kafka", "mongo", "redis", "s3")
CHILDREN = "/sandboxes"
"""After a program's name: its children, which run on cores of their own."""
OWN_DATABASES = {"admin", "config", "local"}
PUBLISHED = re.compile(r'^publisher_events_total\{service="(\w+)"\} (\S+)$', re.MULTILINE)
Amounts = dict[str, float]


@dataclass(frozen=True)
class Usage:
    """CPU in ms by program, bytes of Kafka's log by topic, what MongoDB and S3 wrote, events by publishing service."""

    cpu_ms: Amounts
    kafka_bytes: Amounts
    mongo: Amounts
    s3: Amounts
    events: Amounts

    def since(self, before: "Usage") -> "Usage":
        """Return what was used meanwhile, or what is used more."""
        parts = {name: (mine, getattr(before, name)) for name, mine in vars(self).items()}
        return Usage(**{name: _less(mine, other) for name, (mine, other) in parts.items()})

    def times(self, factor: float) -> "Usage":
        """Return that many times as much."""
        return Usage(**{name: {key: each * factor for key, each in part.items()} for name, part in vars(self).items()})


def _less(mine: Amounts, other: Amounts) -> Amounts:
    return {name: mine.get(name, 0) - other.get(name, 0) for name in {**other, **mine}}


async def used(stack: Stack) -> Usage:
    """Read all counters."""
    programs = {name: pid for name, pid in stack.programs().items() if name in SERVERS or name in stack.processes()}
    return Usage(
        cpu_ms=dict(entry for name, pid in programs.items() for entry in _cpu(name, pid)),
        kafka_bytes=_log_bytes(stack.servers / "kafka" / "log"),
        mongo=await _mongo(stack, psutil.Process(programs["mongo"])),
        s3={"stored_bytes": _size(stack.servers / "s3")},
        events=await _events(stack),
    )


def _cpu(name: str, pid: int) -> Iterator[tuple[str, float]]:
    """Yield a program's CPU time and that of its children, those that have ended included."""
    process = psutil.Process(pid)
    times, children = process.cpu_times(), process.children()
    ended = times.children_user + times.children_system
    yield name, (times.user + times.system) * 1000
    if children or ended:
        yield name + CHILDREN, (ended + sum(map(cpu_seconds, children))) * 1000


def _log_bytes(folder: Path) -> Amounts:
    found = Counter[str]()
    for path in folder.glob("*-*/*.log"):
        found[path.parent.name.rpartition("-")[0]] += path.stat().st_size
    return dict(found)


def _size(folder: Path) -> float:
    return float(sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()))


async def _mongo(stack: Stack, process: psutil.Process) -> Amounts:
    """Read sizes right after a checkpoint: without it WiredTiger reports those of up to a minute ago."""
    written = float(process.io_counters().write_bytes)
    async with stack.database("local", patient=True) as local:
        client = local.client
        await client.admin.command("fsync", 1)
        names = set(await client.list_database_names()) - OWN_DATABASES
        sizes = [await client[name].command("dbStats") for name in names]
        log = (await client.admin.command("serverStatus"))["wiredTiger"]["log"]
        oplog = await local.command("collStats", "oplog.rs")
    return {
        "stored_bytes": sum(each["storageSize"] + each["indexSize"] for each in sizes),
        "document_bytes": sum(each["dataSize"] for each in sizes),
        "oplog_bytes": oplog["size"],
        "written_bytes": written,
        "journal_syncs": log["log sync operations"],
    }


async def _events(stack: Stack) -> Amounts:
    """Read how many events each service has published."""
    workers = [each["worker"] for each in stack.file["services"].values() if "worker" in each]
    trust = ssl.create_default_context(cafile=stack.file["ca"])
    async with httpx2.AsyncClient(verify=trust, timeout=60) as client:
        texts = [(await client.get(f"{worker}/metrics")).text for worker in workers]
    return {name: float(count) for text in texts for name, count in PUBLISHED.findall(text)}
