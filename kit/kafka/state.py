"""The state of a cluster, as its metadata report it, and how far other systems' groups are behind."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as Partition
from aiokafka.admin import AIOKafkaAdminClient

from kit.kafka.connections import connected, translate_errors
from kit.settings import KafkaSettings


@dataclass(frozen=True)
class ClusterState:
    """`offline`: partitions without a leader; `under_replicated`: with fewer replicas in sync than they have."""

    brokers: int
    offline: int
    under_replicated: int


async def cluster_state(settings: KafkaSettings) -> ClusterState:
    """Raises `Unavailable`."""
    client = AIOKafkaAdminClient(bootstrap_servers=settings.servers, request_timeout_ms=10_000)
    try:
        await connected(client, settings)
        with translate_errors():
            async with asyncio.timeout(settings.call_timeout_seconds):
                cluster = await client.describe_cluster()
                topics = await client.describe_topics()
    finally:
        await client.close()
    partitions = [partition for topic in topics for partition in topic["partitions"]]
    return ClusterState(
        brokers=len(cluster["brokers"]),
        offline=sum(each["leader"] < 0 for each in partitions),
        under_replicated=sum(len(each["isr"]) < len(each["replicas"]) for each in partitions),
    )


async def group_lags(settings: KafkaSettings, without: Collection[str]) -> Mapping[str, int]:
    """Events not yet read, by group, without groups whose first word is one of these. Raises `Unavailable`."""
    client = AIOKafkaAdminClient(bootstrap_servers=settings.servers, request_timeout_ms=10_000)
    reader = AIOKafkaConsumer(bootstrap_servers=settings.servers, enable_auto_commit=False)
    try:
        await connected(client, settings)
        await connected(reader, settings)
        with translate_errors():
            async with asyncio.timeout(settings.call_timeout_seconds):
                groups = [name for name, *_ in await client.list_consumer_groups() if _word(name) not in without]
                positions = {name: await client.list_consumer_group_offsets(name) for name in groups}
                ends = await _ends(reader, {one for found in positions.values() for one in found})
    finally:
        await client.close()
        await reader.stop()
    lags = Counter(dict.fromkeys(groups, 0))
    for group, found in positions.items():
        lags[group] += sum(max(0, ends[one] - position.offset) for one, position in found.items() if one in ends)
    return lags


async def _ends(reader: AIOKafkaConsumer, partitions: Collection[Partition]) -> Mapping[Partition, int]:
    return dict(await reader.end_offsets(list(partitions))) if partitions else {}


def _word(group: str) -> str:
    return group.partition(".")[0]
