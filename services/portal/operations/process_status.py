"""Reads checks and metrics from the internal ports of processes (kit.runtime.health, kit.observability.metrics)."""

import asyncio
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from kit.core.errors import network_error
from kit.observability import log

Labels = frozenset[tuple[str, str]]
Values = Mapping[tuple[str, Labels], float]
RESOLVE_SECONDS = 1.0
logger = log.get(__name__)


@dataclass(frozen=True)
class ProcessStatus:
    """A process at one moment: results of its checks by name (`ok`, or why not), and values by metric and labels."""

    answers: bool
    checks: Mapping[str, str] = field(default_factory=dict)
    values: Values = field(default_factory=dict)


async def addresses_of(address: str) -> list[str]:
    """The addresses of all processes that the host name in `address` (https://name:port) resolves to.

    A headless Service in Kubernetes resolves to one per pod. A name that can't be resolved is returned unchanged.
    """
    url = httpx2.URL(address)
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except OSError:
        return [address]
    return [str(url.copy_with(host=host)) for host in sorted({place[0] for *_, place in found})]


async def read_status(
    http: httpx2.AsyncClient, address: str, names: Collection[str], configured: str = ""
) -> ProcessStatus:
    """Readiness, and the metrics in `names`, of the process at `address`; `answers` is False if it is unavailable.

    `configured`: the address with the host name that the process's certificate is for.
    """
    named = {"sni_hostname": httpx2.URL(configured or address).host}
    try:
        ready, metrics = await asyncio.gather(
            http.get(f"{address}/readyz", extensions=named), http.get(f"{address}/metrics", extensions=named)
        )
        return ProcessStatus(True, ready.json()["checks"], _values(metrics.text, names))
    except (httpx2.HTTPError, ValueError, KeyError) as error:
        logger.warning("process status not read", address=address, error=network_error(error))
        return ProcessStatus(False)


def _values(text: str, names: Collection[str]) -> Values:
    """Parse only the wanted lines: most of the others are histogram buckets."""
    lines = [line for line in text.splitlines() if line.partition("{")[0].partition(" ")[0] in names]
    families = text_string_to_metric_families("\n".join(lines) + "\n")
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}
