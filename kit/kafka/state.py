"""The state of a cluster, as its metadata report it, and how far other systems' groups are behind."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from kit.kafka.connections import close, connected, options, translate_errors
from kit.settings import KafkaSettings


@dataclass(frozen=True)
class ClusterState:
    """`offline`: partitions without a leader; `under_replicated`: with fewer replicas in sync than they have.

    `lags`: events not yet read, by group.
    """

    brokers: int
    offline: int
    under_replicated: int
    lags: Mapping[str, int]


async def cluster_state(settings: KafkaSettings, without: Collection[str]) -> ClusterState:
    """The state, as far as the user may see it, without groups whose first word is one of these.

    Raises `Unavailable`.
    """
    client = AIOKafkaAdminClient(**options(settings), request_timeout_ms=10_000)
    reader = AIOKafkaConsumer(**options(settings), enable_auto_commit=False)
    try:
        await connected(client, settings.call_timeout_seconds)
        await connected(reader, settings.call_timeout_seconds)
        with translate_errors():
            async with asyncio.timeout(settings.call_timeout_seconds):
                cluster = await client.describe_cluster()
                topics = await client.describe_topics()
                lags = await _lags(client, reader, without)
    finally:
        await client.close()
        await close(reader)
    partitions = [partition for topic in topics for partition in topic["partitions"]]
    return ClusterState(
        brokers=len(cluster["brokers"]),
        offline=sum(each["leader"] < 0 for each in partitions),
        under_replicated=sum(len(each["isr"]) < len(each["replicas"]) for each in partitions),
        lags=lags,
    )


async def _lags(client: AIOKafkaAdminClient, reader: AIOKafkaConsumer, without: Collection[str]) -> dict[str, int]:
    groups = [name for name, *_ in await client.list_consumer_groups() if name.partition(".")[0] not in without]
    positions = {name: await client.list_consumer_group_offsets(name) for name in groups}
    read = {partition for found in positions.values() for partition in found}
    ends = await reader.end_offsets(read) if read else {}
    lags = Counter(dict.fromkeys(groups, 0))
    for group, found in positions.items():
        lags[group] += sum(max(0, ends[partition] - position.offset) for partition, position in found.items())
    return lags
