"""A client whose brokers are all unavailable finds the others again, and does not try in a loop."""

import asyncio
import socket
import time

from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient
from aiokafka.structs import BrokerMetadata

from kit.kafka.connections import options
from tests.support.processes import free_port
from tests.support.stack import RunningStack
from tests.support.waiting import eventually


def forget(client: AIOKafkaClient, port: int) -> None:
    """Let the client know only a broker that is down, as after metadata from when the others were."""
    client.cluster._brokers = {99: BrokerMetadata(99, "127.0.0.1", port, None)}
    for connection in list(client._conns.values()):
        connection.close()


async def test_a_client_asks_the_bootstrap_servers_when_all_brokers_that_it_knows_are_down(
    stack: RunningStack,
) -> None:
    consumer = AIOKafkaConsumer("records.changes", **options(stack.kafka))
    await consumer.start()
    try:
        forget(consumer._client, free_port())

        async def found() -> bool:
            await consumer._client.force_metadata_update()
            return 99 not in {broker.nodeId for broker in consumer._client.cluster.brokers()}

        await eventually(found, 20, "the client knows the broker again")
        assert await consumer.end_offsets(consumer.assignment())
    finally:
        await consumer.stop()


async def test_a_broker_that_refuses_connections_is_tried_a_few_times_a_second(stack: RunningStack) -> None:
    attempts = 0

    async def count(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        writer.transport.abort()

    server = await asyncio.start_server(count, "127.0.0.1", 0)
    client = AIOKafkaClient(**options(stack.kafka))
    await client.bootstrap()
    try:
        port, end = server.sockets[0].getsockname()[1], time.monotonic() + 4
        while time.monotonic() < end:
            client.cluster._brokers[99] = BrokerMetadata(99, "127.0.0.1", port, None)  # newer metadata has it no more
            assert not await client.ready(99)
        assert 3 <= attempts <= 12
    finally:
        await client.close()
        server.close()


async def test_a_broker_that_does_not_answer_does_not_keep_a_client_from_the_others(stack: RunningStack) -> None:
    silent = socket.create_server(("127.0.0.1", 0))  # the kernel accepts, and nobody answers
    client = AIOKafkaClient(**options(stack.kafka))
    await client.bootstrap()
    try:
        known = next(iter(client.cluster.brokers())).nodeId
        port = silent.getsockname()[1]
        client.cluster._brokers[99] = BrokerMetadata(99, "127.0.0.1", port, None)
        waiting = asyncio.create_task(client.ready(99))
        await asyncio.sleep(0.1)
        assert await client.ready(known)
        assert not waiting.done()
        assert not await waiting
    finally:
        await client.close()
        silent.close()
