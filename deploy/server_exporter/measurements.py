"""What is measured, every few seconds; a scrape shows the last figures."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from prometheus_client import Gauge

from kit.core.errors import cause_of
from kit.kafka.state import cluster_state
from kit.mongo import Database
from kit.mongo.server import server_state
from kit.observability import log
from kit.settings import KafkaSettings

PAUSE_SECONDS = 15.0
"""As often as Prometheus reads the figures."""
logger = log.get(__name__)
measured = Gauge("server_measured", "1 while the server's state can be read", ["server"])

kafka_brokers = Gauge("kafka_brokers", "Brokers of the cluster that are up")
kafka_offline = Gauge("kafka_partitions_offline", "Partitions without a leader")
kafka_under_replicated = Gauge("kafka_partitions_under_replicated", "Partitions with a replica that is not in sync")
subscriber_lag = Gauge("subscriber_lag_events", "Events not yet read by another system's consumer group", ["group"])

mongo_lag = Gauge("mongo_member_lag_seconds", "How far a secondary is behind the primary", ["member"])
mongo_down = Gauge("mongo_members_down", "Members that are neither primary nor secondary")
mongo_connections = Gauge("mongo_connections", "Connections to the primary: current, available", ["state"])
mongo_cache = Gauge("mongo_cache_used_ratio", "Used share of WiredTiger's cache; it is evicted from 0.8 on")


async def measure_kafka(settings: KafkaSettings, ours: Collection[str]) -> None:
    """Set the gauges of Kafka. `ours`: first words of our own groups, which have `consumer_lag_events`."""
    state = await cluster_state(settings, without=ours)
    kafka_brokers.set(state.brokers)
    kafka_offline.set(state.offline)
    kafka_under_replicated.set(state.under_replicated)
    subscriber_lag.clear()
    for group, lag in state.lags.items():
        subscriber_lag.labels(group).set(lag)


async def measure_mongo(database: Database) -> None:
    """Set the gauges of MongoDB."""
    state = await server_state(database)
    mongo_lag.clear()
    for member, seconds in state.lags.items():
        mongo_lag.labels(member).set(seconds)
    mongo_down.set(state.down)
    mongo_connections.labels("current").set(state.connections)
    mongo_connections.labels("available").set(state.connections_available)
    mongo_cache.set(state.cache_used)


async def keep(server: str, measure: Callable[[], Awaitable[None]]) -> None:
    """Measure until cancelled, whatever fails: one server's refusal must not end the measurements of the other."""
    ok = measured.labels(server)
    while True:
        try:
            await measure()
            ok.set(1)
        except Exception as error:
            ok.set(0)
            logger.warning("server not measured", server=server, error=cause_of(error))
        await asyncio.sleep(PAUSE_SECONDS)
