"""Dashboards and rules name only metrics that a running stack exports, and every query of a dashboard has a result."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import yaml
from prometheus_client import Counter, Gauge

from deploy.backup import metrics
from deploy.local.environment import internals_of
from deploy.local.ports import SERVICES
from deploy.local.prometheus import RULES
from deploy.local.stack import ROOT
from deploy.logs import shipper
from tests.support.prometheus import Prometheus
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

DASHBOARDS = {path.stem: path for path in (ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")}
# what blackbox_exporter shows of a probe; the second one only over HTTPS
PROBED = {"probe_success", "probe_ssl_earliest_cert_expiry"}
PATHS = ("/", *(f"/api/{name}/nothing-here" for name in SERVICES if name != "portal"))
WORDS = {"and", "or", "unless", "offset", "bool"}
OF_KUBERNETES = {"kube_cronjob_status_last_successful_time"}
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum", "")}


def panels(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text())["panels"])


def queries(path: Path) -> Iterator[tuple[str, str, str]]:
    """Title of the panel, query, legend."""
    for panel in panels(path):
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"], target["legendFormat"]


def names(query: str) -> set[str]:
    """The metrics that a query names: its words without matchers, ranges, groupings and functions."""
    bare = re.sub(r'"(\\.|[^"\\])*"|\{[^}]*\}|\[[^\]]*\]', " ", re.sub(r'"(\\.|[^"\\])*"', '""', query))
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    found = re.findall(r"(?<![\w:.])([a-zA-Z_:][\w:]*)(?!\w)(?!\s*\()", bare)
    return set(found) - WORDS


def rules() -> list[dict[str, Any]]:
    texts = (path.read_text() for path in RULES.glob("*.yaml"))
    return [rule for text in texts for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


@pytest_asyncio.fixture(scope="module")
async def exported(stack: RunningStack) -> AsyncIterator[set[str]]:
    """The names of all metrics of the processes, backup, log shipper, what watches them, and our recording rules."""
    addresses = list(internals_of(stack.plan).values())
    addresses += filter(None, (stack.facts[name] for name in ("node_exporter", "alert_sender")))
    addresses += stack.facts["exporters"]
    async with stack.http(seconds=10) as client:
        pages = await asyncio.gather(*(client.get(f"{address}/metrics") for address in addresses))
    found = {name for page in pages for name in typed(page.text)}
    found |= {name for each in (*vars(metrics).values(), shipper.waiting) for name in exported_by(each)}
    yield found | PROBED | {"up", *OF_KUBERNETES} | {rule["record"] for rule in rules() if "record" in rule}


def exported_by(metric: object) -> set[str]:
    found = metric.collect() if isinstance(metric, Gauge | Counter) else []
    return {sample.name for each in found for sample in each.samples}


def typed(text: str) -> Iterator[str]:
    """The names of series in a page of metrics."""
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        yield from (name + suffix for suffix in SUFFIXES.get(kind, ("",)))


def test_the_metrics_of_a_query_are_found() -> None:
    query = 'sum by (a, b) (rate(x_total{c=~"(d|e)", f!="}"}[5m])) / on (a) (y:z:rate5m > 0.5 offset 1h) or vector(0)'
    assert names(query) == {"x_total", "y:z:rate5m"}


def test_there_are_the_dashboards_that_grafana_can_load() -> None:
    assert sorted(DASHBOARDS) == ["events-and-lag", "files", "portal-traffic", "service-levels", "sms"]
    for name, path in DASHBOARDS.items():
        assert json.loads(path.read_text())["uid"] == name
        ids = [panel["id"] for panel in panels(path)]
        assert len(set(ids)) == len(ids)
        assert {panel["datasource"]["uid"] for panel in panels(path)} == {"prometheus"}


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
def test_a_dashboard_names_only_metrics_that_exist(name: str, exported: set[str]) -> None:
    found = {each for _, query, _ in queries(DASHBOARDS[name]) for each in names(query)}
    assert found - exported == set()


def test_rules_name_only_metrics_that_exist(exported: set[str]) -> None:
    assert {each for rule in rules() for each in names(rule["expr"])} - exported == set()


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
async def test_every_query_has_a_result_with_the_labels_of_its_legend(
    name: str, prometheus: Prometheus, gateway: httpx2.AsyncClient
) -> None:
    """Each query is repeated until it has a result: rates need two samples, and the services a first request."""

    async def result(query: str) -> list[dict[str, Any]]:
        for path in PATHS:
            await gateway.get(path)
        return await prometheus.ask(query)

    for title, query, legend in queries(DASHBOARDS[name]):
        for sample in await eventually(partial(result, query), 60, f"{title}: {query}", pause=0.5):
            assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= set(sample["metric"]), title
