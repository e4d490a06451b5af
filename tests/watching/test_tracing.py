"""One trace connects a request, the version that it wrote, its event, and the consumer in another service."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from contracts.records import RecordChanged
from kit import mongo
from kit.security.tokens import TokenIssuer
from tests.support.collector import Collector, Span, collecting
from tests.support.people import Person
from tests.support.processes import Processes, Standby
from tests.support.stack import RunningStack
from tests.support.subscriber import Subscriber, headers_of
from tests.support.waiting import eventually

TRACED = ("records-api", "records-worker", "attachments-worker")
PUBLISHED, HANDLED = f"publish {RecordChanged.TYPE}", f"attachments.records {RecordChanged.TYPE}"


async def test_one_trace_from_the_request_to_a_consumer_in_another_service(
    stack: RunningStack, processes: Processes, issuer: TokenIssuer, tmp_path: Path
) -> None:
    trace = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}
    with collecting() as collector:
        async with (
            traced(processes, collector, tmp_path) as running,
            stack.http(running["records-api"].api) as http,
        ):
            http.headers |= headers
            person = Person(http, issuer)
            record = (await person.created())["record_id"]
            await person.call("GET", "/api/records/practitioners/me/records", params={"kind": "education"})
            spans = await eventually(lambda: complete(collector, trace), 60, "the trace is complete", pause=0.2) or []
    by_id = {span.id: span for span in spans}
    handled = named(spans, "attachments-worker", HANDLED)
    published = by_id[handled.parent]
    assert (published.process, published.name) == ("records-worker", PUBLISHED)
    request = by_id[published.parent]
    assert request.process == "records-api"
    assert by_id[named(spans, "records-api", "insert records").parent].process == "records-api"
    assert trace_of(await event(stack, record)) == trace
    assert trace in {line.get("trace_id") for line in lines(tmp_path / "records-api.log")}
    assert not any("education" in value for span in spans for value in span.attributes)  # no queries: they name people


async def test_without_an_endpoint_nothing_is_traced(stack: RunningStack, new_person: Callable[[], Person]) -> None:
    record = (await new_person().created())["record_id"]
    assert trace_of(await event(stack, record)) is None
    async with mongo.connect(stack.mongo, "records") as database:
        assert "traceparent" not in (await database["records"].find_one({"_id": record}) or {})


@asynccontextmanager
async def traced(processes: Processes, collector: Collector, logs: Path) -> AsyncIterator[dict[str, Standby]]:
    """Processes with tracing on, in place of the stack's."""
    settings = {"TRACING__ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    async with AsyncExitStack() as stack:
        for name in TRACED[1:]:
            await stack.enter_async_context(processes.down(name))
        starting = (processes.standby(name, "traced", logs / f"{name}.log", **settings) for name in TRACED)
        standbys = await asyncio.gather(*map(stack.enter_async_context, starting))
        yield dict(zip(TRACED, standbys, strict=True))


async def complete(collector: Collector, trace: str) -> list[Span] | None:
    spans = collector.of(trace)
    return spans if {PUBLISHED, HANDLED} <= {span.name for span in spans} else None


def named(spans: list[Span], process: str, name: str) -> Span:
    return next(span for span in spans if (span.process, span.name) == (process, name))


async def event(stack: RunningStack, record: str) -> dict[str, str]:
    """The headers of the record's first event."""
    subscriber = Subscriber(stack.kafka, RecordChanged.TOPIC)

    def found() -> list[dict[str, str]]:
        return [headers for headers in map(headers_of, subscriber.records) if headers["ce_subject"] == record]

    await subscriber.until(lambda _: bool(found()), 60, "the record is published")
    return found()[0]


def trace_of(headers: dict[str, str]) -> str | None:
    return headers["traceparent"].split("-")[1] if "traceparent" in headers else None


def lines(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
