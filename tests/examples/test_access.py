"""What a subscriber's user may and may not do, after the operators have granted it access."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError, TopicAuthorizationFailedError

from deploy.local.stack import ROOT
from kit.kafka.connections import options
from kit.settings import KafkaSettings
from tests.examples.conftest import Source, copied
from tests.support.names import own_name
from tests.support.people import Person
from tests.support.stack import RunningStack


@dataclass(frozen=True)
class Granted:
    """A subscriber's user."""

    stack: RunningStack
    name: str
    user: str
    password: str

    def settings(self, password: str = "") -> KafkaSettings:
        login = {"user": self.user, "password": password or self.password}
        return KafkaSettings.model_validate(self.stack.kafka.model_dump() | login)

    async def read(self, topic: str, group: str | None = None, password: str = "") -> None:
        consumer = AIOKafkaConsumer(topic, group_id=group, enable_auto_commit=False, **options(self.settings(password)))
        try:
            await consumer.start()
            await consumer.getmany(timeout_ms=5_000)
        finally:
            await consumer.stop()


async def access(stack: RunningStack, *words: str) -> str:
    """Runs `python -m deploy.access …` as an operator does. Returns its output."""
    environment = os.environ | stack.environment("admin")
    command = [sys.executable, "-m", "deploy.access", *words]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest_asyncio.fixture
async def granted(stack: RunningStack) -> AsyncIterator[Granted]:
    name = own_name("system")
    answer = json.loads(await access(stack, "grant", "subscriber", name))
    yield Granted(stack, name, answer["user"], answer["password"])
    await access(stack, "revoke", "subscriber", name)


async def test_the_example_reads_with_its_user(
    stack: RunningStack, granted: Granted, source: Source, person: Person, tmp_path: Path
) -> None:
    await person.created()
    login = {"KAFKA_USER": granted.user, "KAFKA_PASSWORD": granted.password, "KAFKA_CA": str(stack.ca)}
    downstream, expected = copied(tmp_path, stack.kafka.servers, login), await source.records([person])
    for _ in range(5):
        await downstream.once()
        if downstream.records([person]) == expected:
            break
    assert downstream.records([person]) == expected
    await granted.read("records.changes", group=f"{granted.name}.records")


async def test_other_topics_and_groups_are_refused_and_nothing_can_be_written(granted: Granted) -> None:
    for topic in ("attachments.changes", "identity.messages", "records.publisher"):
        with pytest.raises(TopicAuthorizationFailedError):
            await granted.read(topic)
    for group in ("attachments.records", "demo.records", granted.name):
        with pytest.raises(GroupAuthorizationFailedError):
            await granted.read("records.changes", group=group)
    async with AIOKafkaProducer(**options(granted.settings())) as producer:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait("records.changes", b"{}", b"mine")


async def test_a_wrong_password_and_a_revoked_user_are_refused(stack: RunningStack, granted: Granted) -> None:
    with pytest.raises(KafkaConnectionError):
        await granted.read("records.changes", password="a guess")
    await access(stack, "revoke", "subscriber", granted.name)
    with pytest.raises(KafkaConnectionError):
        await granted.read("records.changes")
    await access(stack, "grant", "subscriber", granted.name)
