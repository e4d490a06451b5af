"""What a subscriber's user may and may not do at a broker that was set up as the page describes."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError, TopicAuthorizationFailedError

from contracts.files import FILES
from tests.examples.conftest import copied, in_javascript
from tests.support.guarded_kafka import GuardedKafka, guarded_kafka
from tests.support.node import needs_node
from tests.support.topics import admin
from tests.support.waiting import eventually

SAMPLE = json.loads((FILES / "samples" / "records.record.changed.v1.json").read_text())

TOPICS = ("records.changes", "identity.changes", "attachments.changes")


@pytest_asyncio.fixture(scope="module")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GuardedKafka]:
    """A broker with topics, and the sample of a record's event."""
    async with guarded_kafka(tmp_path_factory.mktemp("guarded")) as kafka:
        async with admin(kafka.inside) as client:
            await client.create_topics([NewTopic(name, 2, 1) for name in TOPICS])
        async with AIOKafkaProducer(bootstrap_servers=kafka.inside) as producer:
            headers = [(name, text.encode()) for name, text in SAMPLE["headers"].items()]
            value = json.dumps(SAMPLE["data"]).encode()
            await producer.send_and_wait("records.changes", value, SAMPLE["key"].encode(), headers=headers)
        yield kafka


async def test_the_python_example_reads_with_its_user(kafka: GuardedKafka, tmp_path: Path) -> None:
    downstream = copied(tmp_path, kafka.outside, kafka.environment())
    await downstream.once()
    assert downstream.rows("SELECT record_id, version FROM records") == [(SAMPLE["key"], SAMPLE["data"]["version"])]


@needs_node
async def test_the_javascript_example_reads_with_its_users_group(kafka: GuardedKafka, tmp_path: Path) -> None:
    async def kept() -> bool:
        file = tmp_path / "records.json"
        return file.exists() and list(json.loads(file.read_text())["records"]) == [SAMPLE["key"]]

    with in_javascript(tmp_path, kafka.outside, "qualification.records", kafka.environment()).running():
        await eventually(kept, 60, "it holds the record")


async def test_another_topic_cannot_be_read(kafka: GuardedKafka) -> None:
    with pytest.raises(TopicAuthorizationFailedError):
        await read(kafka, "attachments.changes")


async def test_another_systems_group_cannot_be_joined(kafka: GuardedKafka) -> None:
    with pytest.raises(GroupAuthorizationFailedError):
        await read(kafka, "records.changes", group="attachments.records")


async def test_nothing_can_be_written(kafka: GuardedKafka) -> None:
    async with AIOKafkaProducer(**kafka.client()) as producer:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait("records.changes", b"{}", b"mine")


async def test_a_wrong_password_is_refused(kafka: GuardedKafka) -> None:
    with pytest.raises(KafkaConnectionError):
        await read(kafka, "records.changes", password="a guess")


async def read(kafka: GuardedKafka, topic: str, *, group: str | None = None, **who: str) -> None:
    consumer = AIOKafkaConsumer(topic, group_id=group, enable_auto_commit=False, **kafka.client(**who))
    try:
        await consumer.start()
        await consumer.getmany(timeout_ms=5_000)
    finally:
        await consumer.stop()
