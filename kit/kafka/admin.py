"""Administration of topics and of groups' positions."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as Partition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import CommitFailedError, TopicAlreadyExistsError, UnknownMemberIdError, for_code
from aiokafka.structs import OffsetAndMetadata

from kit.core.errors import Unavailable
from kit.kafka.connections import connected, options, translate_errors
from kit.settings import KafkaSettings


class Admin:
    """Topics and groups' positions."""

    def __init__(self, client: AIOKafkaAdminClient, timeout_seconds: float) -> None:
        self._client, self._timeout = client, timeout_seconds

    async def position(self, group: str) -> tuple[int, str]:
        """The count and text that the publisher `group` stored last; (0, "") when there is none. Raises `Unavailable`.

        The position is requested by partition: if it is missing the response has -1. A response without it is an error
        that aiokafka ignores, for example of a broker that is still loading the group after its start; taking that for
        "none" would publish a snapshot.
        """
        shard = Partition(group, 0)
        with translate_errors():
            async with asyncio.timeout(self._timeout):
                found = (await self._client.list_consumer_group_offsets(group, partitions=[shard])).get(shard)
        if found is None:
            raise Unavailable("Kafka")
        return (0, "") if found.offset < 0 else (found.offset, found.metadata or "")

    async def topics(self) -> dict[str, int]:
        """Partition counts by topic. Raises `Unavailable`."""
        with translate_errors():
            async with asyncio.timeout(self._timeout):
                described = await self._client.describe_topics()
        return {topic["topic"]: len(topic["partitions"]) for topic in described}

    async def create(self, name: str, partitions: int, replication: int, config: Mapping[str, str]) -> bool:
        """Create a topic; False if it exists already."""
        topic = NewTopic(name, partitions, replication, topic_configs=dict(config))
        response = await self._client.create_topics([topic])
        code = response.topic_errors[0][1]
        if for_code(code) is TopicAlreadyExistsError:
            return False
        if code:
            raise for_code(code)(response.topic_errors[0][2])
        return True

    async def configure(self, name: str, config: Mapping[str, str]) -> None:
        """Set a topic's configuration."""
        await self._client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=dict(config))])


@asynccontextmanager
async def admin(settings: KafkaSettings) -> AsyncIterator[Admin]:
    """Open a client for topics and positions. Raises `Unavailable` when no broker answers."""
    client = AIOKafkaAdminClient(**options(settings), request_timeout_ms=10_000)
    try:
        await connected(client, settings.call_timeout_seconds)
        yield Admin(client, settings.call_timeout_seconds)
    finally:  # also when a readiness check timed out
        await client.close()


async def ping(settings: KafkaSettings) -> None:
    """A readiness check: a broker answers. Raises `Unavailable`."""
    async with admin(settings):
        return


class GroupInUse(Exception):
    """The group has members, so its position cannot be moved."""


async def move_group(settings: KafkaSettings, group: str, to: Mapping[Partition, tuple[int, str]]) -> None:
    """Move a group without members to these offsets, with these metadata texts. Raises `GroupInUse`."""
    consumer = AIOKafkaConsumer(**options(settings), group_id=group, enable_auto_commit=False)
    try:
        await connected(consumer, settings.call_timeout_seconds)
        consumer.assign(list(to))
        async with asyncio.timeout(settings.call_timeout_seconds):
            await consumer.commit({partition: OffsetAndMetadata(*place) for partition, place in to.items()})
    except (CommitFailedError, UnknownMemberIdError) as error:
        raise GroupInUse(group) from error
    finally:
        await consumer.stop()
