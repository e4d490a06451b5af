"""What a process shows on its internal port (kit.runtime.health, kit.observability.metrics), read by another one."""

import asyncio
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import httpx2
from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
Values = Mapping[tuple[str, Labels], float]
RESOLVE_SECONDS = 1.0


@dataclass(frozen=True)
class ProcessStatus:
    """A process at one moment: what its checks say by name (`ok`, or why not), and values by metric and labels."""

    answers: bool
    checks: Mapping[str, str] = field(default_factory=dict)
    values: Values = field(default_factory=dict)


async def addresses_of(address: str) -> list[str]:
    """An address for each process behind the name in `address` (http://name:port): one for each IP address it has.

    In Kubernetes a headless Service has one a pod. A name without any stays as it is: who is asked there is away.
    """
    url = httpx2.URL(address)
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except OSError:
        return [address]
    return [str(url.copy_with(host=host)) for host in sorted({place[0] for *_, place in found})]


async def read_status(http: httpx2.AsyncClient, address: str, names: Collection[str]) -> ProcessStatus:
    """Readiness, and the metrics called `names`, of the process at `address`; one that is away is no error."""
    try:
        ready, metrics = await asyncio.gather(http.get(f"{address}/readyz"), http.get(f"{address}/metrics"))
        return ProcessStatus(True, ready.json()["checks"], _values(metrics.text, names))
    except (httpx2.HTTPError, ValueError, KeyError):
        return ProcessStatus(False)


def _values(text: str, names: Collection[str]) -> Values:
    """Only the lines that are wanted are parsed: most of them are buckets of requests."""
    lines = [line for line in text.splitlines() if line.partition("{")[0].partition(" ")[0] in names]
    families = text_string_to_metric_families("\n".join(lines) + "\n")
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}
