"""What exporters report of the running stack."""

from functools import partial

import pytest

from deploy.local.environment import PARTITIONS
from deploy.local.ports import SERVICES
from deploy.local.prometheus import PACKAGES, watchers
from kit import kafka
from kit.kafka import Partition
from tests.support.names import own_name
from tests.support.prometheus import Prometheus
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

REPORTED = {
    "server-exporter": ("kafka_brokers == 1", "kafka_partitions_offline == 0", "kafka_partitions_under_replicated == 0",
                        "mongo_members_down == 0", 'mongo_connections{state="current"} > 0',
                        "mongo_cache_used_ratio > 0", "count(server_measured == 1) == 2",
                        'certificate_expires_timestamp_seconds{process="server-exporter"} > time()'),
    "redis-exporter": ("redis_up == 1", "redis_memory_used_bytes > 0", "redis_aof_last_write_status == 1"),
    "node-exporter": ("node_memory_MemAvailable_bytes > 0", 'node_cpu_seconds_total{mode="idle"} > 0'),
    "blackbox-exporter": ('probe_success{job="public-door"} == 1',
                          'count(probe_success{job="server-certificates"} == 1) == 4',
                          'count(probe_ssl_earliest_cert_expiry{job="server-certificates"} > time()) == 4'),
}  # fmt: skip


@pytest.mark.parametrize("exporter", REPORTED)
async def test_an_exporter_reports_its_server(exporter: str, stack: RunningStack, prometheus: Prometheus) -> None:
    if exporter not in watchers(stack.plan):
        pytest.skip(f"{PACKAGES[exporter]} is not installed here")
    for query in REPORTED[exporter]:
        await eventually(partial(prometheus.ask, query), 60, query, pause=0.5)


async def test_the_lag_of_another_systems_group_is_reported_but_not_that_of_ours(
    stack: RunningStack, prometheus: Prometheus
) -> None:
    group = own_name("qualification")
    shards = [Partition("records.changes", number) for number in range(PARTITIONS)]
    await kafka.move_group(stack.kafka_settings(), group, dict.fromkeys(shards, (0, "")))
    query = f'subscriber_lag_events{{group="{group}"}} > 0'  # the demo person's records
    await eventually(partial(prometheus.ask, query), 60, query, pause=0.5)
    assert await prometheus.ask(f'subscriber_lag_events{{group=~"({"|".join(SERVICES)})[.].+"}}') == []
