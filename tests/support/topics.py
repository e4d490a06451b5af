"""Topics for one test on the stack's broker, deleted afterwards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import OffsetAndMetadata

from kit.kafka.connections import options
from kit.settings import KafkaSettings

SIZE = {"max.message.bytes": "2097152"}


@asynccontextmanager
async def admin(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(**options(kafka))
    try:
        await client.start()
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def own_topics(kafka: KafkaSettings, **partitions: int) -> AsyncIterator[None]:
    """Topics with these numbers of partitions, for the length of the block; on a cluster they outlive a broker."""
    async with admin(kafka) as client:
        replicas = min(3, len((await client.describe_cluster())["brokers"]))
        made = await client.create_topics(
            [NewTopic(name, count, replicas, topic_configs=SIZE) for name, count in partitions.items()]
        )
        assert all(code == 0 for _, code, *_ in made.topic_errors), made
    try:
        yield
    finally:
        async with admin(kafka) as client:
            await client.delete_topics(list(partitions))


async def group_position(kafka: KafkaSettings, group: str) -> OffsetAndMetadata | None:
    """The position that the publisher's group has stored."""
    async with admin(kafka) as client:
        return (await client.list_consumer_group_offsets(group)).get(TopicPartition(group, 0))
