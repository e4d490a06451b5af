"""Faults of the network between instances, by rules of the packet filter in an instance's own namespace.

A rule drops what arrives, so a cut one way is a rule at the receiver. There is no plain delay (the kernel has no
netem), but a low rate delays too, because packets queue.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from deploy.local import sandbox
from deploy.local.layout import Instance

Rule = Sequence[str]


async def command(*words: str) -> None:
    """Run a command. Raises `RuntimeError` with its output if it fails."""
    if not sandbox.is_inside():
        raise RuntimeError("faults are provoked only in a cluster's sandbox")
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)}: {output.decode().strip()}")


@asynccontextmanager
async def cut(sources: Iterable[Instance], targets: Iterable[Instance]) -> AsyncIterator[None]:
    """Drop what the sources send to the targets: a cut one way."""
    hosts = ",".join(source.host for source in sources)
    async with _rules(targets, [["-s", hosts, "-j", "DROP"]]):
        yield


@asynccontextmanager
async def split(left: Sequence[Instance], right: Sequence[Instance]) -> AsyncIterator[None]:
    """Drop everything between two groups, both ways."""
    async with cut(left, right), cut(right, left):
        yield


@asynccontextmanager
async def isolate(instance: Instance) -> AsyncIterator[None]:
    """Drop everything that an instance sends or receives; its own loopback still works."""
    outside = ["!", "-i", "lo", "-j", "DROP"]
    async with _rules([instance], [outside], "INPUT"), _rules([instance], [["!", "-o", "lo", "-j", "DROP"]], "OUTPUT"):
        yield


@asynccontextmanager
async def refuse(instance: Instance) -> AsyncIterator[None]:
    """Answer new connections with a reset, as a machine does on which nothing listens; open ones stay."""
    reset = ["!", "-i", "lo", "-p", "tcp", "--syn", "-j", "REJECT", "--reject-with", "tcp-reset"]
    async with _rules([instance], [reset]):
        yield


@asynccontextmanager
async def lose(instance: Instance, share: float) -> AsyncIterator[None]:
    """Drop a share of the packets that an instance receives."""
    rule = ["-m", "statistic", "--mode", "random", "--probability", f"{share:.3f}", "-j", "DROP"]
    async with _rules([instance], [rule]):
        yield


@asynccontextmanager
async def slow(instance: Instance, kilobits: int) -> AsyncIterator[None]:
    """Limit the rate at which an instance sends; packets wait up to 400 ms in a queue."""
    inside = ("ip", "netns", "exec", instance.name, "tc", "qdisc")
    queue = ("root", "tbf", "rate", f"{kilobits}kbit", "burst", "16kb", "latency", "400ms")
    await command(*inside, "replace", "dev", "eth0", *queue)
    try:
        yield
    finally:
        await command(*inside, "del", "dev", "eth0", "root")


@asynccontextmanager
async def _rules(targets: Iterable[Instance], rules: Sequence[Rule], chain: str = "INPUT") -> AsyncIterator[None]:
    done: list[tuple[Instance, Rule]] = []
    try:
        for target in targets:
            for rule in rules:
                await _iptables(target, "-I", chain, *rule)
                done.append((target, rule))
        yield
    finally:
        for target, rule in done:
            await _iptables(target, "-D", chain, *rule)


async def _iptables(instance: Instance, *words: str) -> None:
    await command("ip", "netns", "exec", instance.name, "iptables", "-w", *words)
