"""The secret in carriers' delivery receipts appears nowhere: not in a log, a trace or a metric."""

import asyncio
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from tests.notify.test_receipts import receipt, token
from tests.support.collector import collecting
from tests.support.gateway import gateway
from tests.support.names import own_id
from tests.support.processes import Processes
from tests.support.prometheus import Prometheus
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

PATH = "/api/notify/receipts/tencent"
TOO_LARGE = b"[" + b" " * 2_000_000 + b"]"


async def test_the_secret_appears_in_no_log_and_no_trace(
    stack: RunningStack, processes: Processes, tmp_path: Path
) -> None:
    marker = f"marker{secrets.token_hex(20)}"
    service_log = tmp_path / "notify-api.log"
    with collecting() as collector:
        settings = {
            "TENCENT__RECEIPTS_TOKEN": json.dumps([f"{marker}1", f"{marker}2"]),
            "TRACING__ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200", "LOG_LEVEL": "DEBUG",
        }  # fmt: skip
        async with (
            processes.standby("notify-api", "traced", service_log, **settings) as notify,
            cut_off(stack) as incomplete,
        ):
            apis = {"NOTIFY": notify.api.removeprefix("https://"), "SIGNATURE": incomplete, "INSIDE_CA": str(stack.ca)}
            (tmp_path / "none").mkdir()
            with gateway("http://localhost", tmp_path / "none", tmp_path, **apis) as (port, gateway_log):
                await send_every_kind(f"http://localhost:{port}", marker)
                await eventually(
                    lambda: contains(gateway_log, "aborting with incomplete response"), 10, "the gateway logs it"
                )
            async with stack.http() as http:
                metrics = (await http.get(f"{notify.url}/metrics")).text
        spans = [span for span in collector.spans if PATH in span.name or PATH in span.attributes]
    assert {"200", "401", "413", "422"} <= set(statuses(service_log))
    assert 'secret="former"' in metrics
    assert spans
    outputs = {
        "gateway": gateway_log.read_text(), "service": service_log.read_text(), "metrics": metrics,
        "traces": repr(collector.spans),
    }  # fmt: skip
    assert [where for where, text in outputs.items() if marker in text] == []


async def test_the_secret_appears_in_no_log_of_the_stack_and_not_in_prometheus(
    stack: RunningStack, gateway: httpx2.AsyncClient, prometheus: Prometheus
) -> None:
    secret, body = token(stack, "tencent"), [receipt("tencent", {"receipt": own_id()}, delivered=True)]
    assert (await gateway.post(PATH, params={"token": secret}, json=body)).status_code == 200
    counted = 'sms_receipts_total{process="notify-api",provider="tencent",secret="current"} > 0'
    await eventually(lambda: prometheus.ask(counted), 30, "the receipt is counted", pause=0.5)
    assert secret not in json.dumps(await prometheus.get("series", **{"match[]": '{__name__=~".+"}'}))
    for program in ("gateway", "notify-api", "notify-worker", "prometheus", "sms-carrier"):
        assert secret not in stack.log(program).read_text(), program


async def send_every_kind(address: str, marker: str) -> None:
    """Receipts: accepted, refused, too large, malformed, for an unknown carrier; and a response that is cut off."""
    body = json.dumps([receipt("tencent", {"receipt": own_id()}, delivered=True)]).encode()
    recorded = {"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"}
    headers = {"Content-Type": "application/json", **recorded}
    async with httpx2.AsyncClient(base_url=address, headers=headers, timeout=20) as http:
        for content, suffix in (body, "1"), (body, "2"), (body, "wrong"), (b'{"no": 1}', "1"), (TOO_LARGE, "1"):
            await http.post(PATH, params={"token": marker + suffix}, content=content)
            await http.post(PATH, auth=("receipts", marker + suffix), content=content)
        await http.post("/api/notify/receipts/nobody", params={"token": f"{marker}1"}, content=body)
        headers = {"X-Secret": marker}
        with pytest.raises(httpx2.HTTPError):
            await http.post("/api/signature/x", params={"token": marker}, content=body, headers=headers)


@asynccontextmanager
async def cut_off(stack: RunningStack) -> AsyncIterator[str]:
    """A server whose responses are cut off."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    own, context = stack.environment("signature-api"), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own["TLS__CERTIFICATE"], own["TLS__KEY"])
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def contains(log: Path, text: str) -> bool:
    return text in await asyncio.to_thread(log.read_text)


def statuses(log: Path) -> Iterator[str]:
    """The statuses of the responses in the access log."""
    for line in log.read_text().splitlines():
        if line.startswith("{"):
            yield str(json.loads(line).get("status"))
