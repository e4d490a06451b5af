"""The status of a process, read from its internal port."""

import socket

import httpx2
import pytest
from prometheus_client import Counter

from kit.runtime import health
from services.portal.operations.process_status import addresses_of, read_status
from tests.support.names import own_name

NAME = own_name("scraped").replace("-", "_")
COUNTED = Counter(f"{NAME}_total", "Of this test", ["what"])


async def passes() -> None: ...


async def fails() -> None:
    raise RuntimeError("Kafka is away")


async def test_the_status_has_the_checks_and_the_requested_metrics() -> None:
    COUNTED.labels("a").inc(3)
    COUNTED.labels('b "quoted", with = signs').inc(2)
    transport = httpx2.ASGITransport(health.application({"mongo": passes, "kafka": fails}))
    async with httpx2.AsyncClient(transport=transport) as http:
        seen = await read_status(http, "http://own", {f"{NAME}_total"})
    assert (seen.answers, seen.checks) == (True, {"mongo": "ok", "kafka": "Kafka is away"})
    assert {(name, dict(labels)["what"]): value for (name, labels), value in seen.values.items()} == {
        (f"{NAME}_total", "a"): 3,
        (f"{NAME}_total", 'b "quoted", with = signs'): 2,
    }


async def test_a_process_that_does_not_answer_is_reported() -> None:
    async with httpx2.AsyncClient(timeout=1) as http:
        assert not (await read_status(http, "http://127.0.0.1:9", {"x"})).answers


async def test_each_address_of_a_name_is_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a headless Service of Kubernetes resolves, in any order; this machine has no such name."""
    pods = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 9000)) for host in ("10.1.0.7", "10.1.0.6")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pods)
    assert await addresses_of("http://records-api:9000") == ["http://10.1.0.6:9000", "http://10.1.0.7:9000"]


async def test_an_unknown_name_is_used_as_it_is() -> None:
    assert await addresses_of("http://gone.invalid:9000") == ["http://gone.invalid:9000"]
    assert await addresses_of("http://127.0.0.1:9") == ["http://127.0.0.1:9"]
