"""Every principal tries every topic, group and transactional id at the broker: what the plan doesn't grant is refused.

The requests can't change anything where they are allowed: the batch is damaged, the member and the producer unknown.
"""

from collections.abc import AsyncIterator
from typing import Any, Protocol, cast

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.api import Request, Response
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from deploy.access import kafka
from deploy.access.principals import Principal, declared_topics, principals
from kit.kafka.access import Entry, Grant, access
from kit.kafka.connections import options
from kit.settings import KafkaSettings
from tests.access.conftest import refused
from tests.support.stack import RunningStack

TOPIC_REFUSED, GROUP_REFUSED, TRANSACTION_REFUSED = 29, 30, 53
TOPICS = sorted(topic.name for topic in declared_topics())
UNKNOWN_PRODUCER = 1 << 40
WITH_USER = sorted(name for name, principal in principals().items() if principal.kafka)
WITHOUT_USER = sorted(principals().keys() - set(WITH_USER))


class Sender(Protocol):
    async def _send_request(self, request: Request[Any]) -> Response: ...


def granted(principal: Principal, resource: str, operation: str) -> set[str]:
    return {each.name for each in principal.kafka if (each.resource, each.operation) == (resource, operation)}


def all_of(resource: str) -> list[str]:
    return sorted({each.name for one in principals().values() for each in one.kafka if each.resource == resource})


@pytest_asyncio.fixture
async def client(stack: RunningStack, principal: Principal, password: str) -> AsyncIterator[Sender]:
    login = {"user": principal.name, "password": password}
    opened = AIOKafkaAdminClient(**options(KafkaSettings.model_validate(stack.kafka.model_dump() | login)))
    await opened.start()
    yield cast(Sender, opened)
    await opened.close()


def damaged() -> bytes:
    """A batch that the broker refuses after it has checked the right to write."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1_000)
    builder.append(0, 0, b"key", b"value", [])
    batch = bytearray(builder.build())
    batch[-1] ^= 0xFF
    return bytes(batch)


async def codes_of_topics(client: Sender, request: Request[Any], field: str = "topics") -> dict[str, int]:
    reply = await client._send_request(request)
    return {topic: partitions[0][1] for topic, partitions in reply.get_item(field)}


async def read(client: Sender) -> set[str]:
    asked = [(topic, [(0, 0, 1_000)]) for topic in TOPICS]
    codes = await codes_of_topics(client, FetchRequest(10, 0, 10_000, 0, asked))
    return {topic for topic, code in codes.items() if code != TOPIC_REFUSED}


async def written(client: Sender) -> set[str]:
    batch = damaged()
    codes = await codes_of_topics(client, ProduceRequest(None, -1, 5_000, [(topic, [(0, batch)]) for topic in TOPICS]))
    return {topic for topic, code in codes.items() if code != TOPIC_REFUSED}


async def joined(client: Sender, group: str) -> bool:
    commit = OffsetCommitRequest(group, 5, "nobody", -1, [("none", [(0, 0, "")])])
    return (await codes_of_topics(client, commit))["none"] != GROUP_REFUSED


async def transacted(client: Sender, transactional_id: str) -> bool:
    request = AddPartitionsToTxnRequest(transactional_id, UNKNOWN_PRODUCER, 0, [(TOPICS[0], [0])])
    return (await codes_of_topics(client, request, "errors"))[TOPICS[0]] != TRANSACTION_REFUSED


@pytest.mark.parametrize("principal", WITH_USER, indirect=True)
async def test_only_the_granted_topics_can_be_read_and_written(client: Sender, principal: Principal) -> None:
    for operation, reached in (("read", await read(client)), ("write", await written(client))):
        mine = granted(principal, "topic", operation)
        refused(principal.name, f"topics to {operation}", set(TOPICS) - mine, reached - mine)
        assert mine <= reached, "its own are open"


@pytest.mark.parametrize("principal", WITH_USER, indirect=True)
async def test_only_the_granted_groups_can_be_joined(client: Sender, principal: Principal) -> None:
    reached = {group for group in all_of("group") if await joined(client, group)}
    mine = {each.name for each in principal.kafka if each.resource == "group" and each.operation == "read"}
    refused(principal.name, "groups", set(all_of("group")) - mine, reached - mine)
    assert mine <= reached


@pytest.mark.parametrize("principal", WITH_USER, indirect=True)
async def test_only_its_own_transactional_id_can_be_used(client: Sender, principal: Principal) -> None:
    reached = {each for each in all_of("transactional_id") if await transacted(client, each)}
    mine = granted(principal, "transactional_id", "write")
    refused(principal.name, "transactional ids", set(all_of("transactional_id")) - mine, reached - mine)
    assert mine <= reached


@pytest.mark.parametrize("principal", WITHOUT_USER, indirect=True)
async def test_who_has_no_user_cannot_connect(stack: RunningStack, principal: Principal, password: str) -> None:
    login = {"user": principal.name, "password": password}
    opened = AIOKafkaAdminClient(**options(KafkaSettings.model_validate(stack.kafka.model_dump() | login)))
    with pytest.raises(KafkaConnectionError):
        await opened.start()
    await opened.close()


async def test_what_another_application_is_granted_by_a_wildcard_stays(stack: RunningStack) -> None:
    entry = Entry.of("another-application", Grant("group", "*", "read"))
    async with access(stack.kafka) as opened:
        await opened.add([entry])
        try:
            await kafka.apply(stack.kafka, stack.facts["principals"])
            assert entry in await opened.entries()
        finally:
            await opened.remove([entry])
