"""A producer that is discarded while the broker does not respond: nothing of it may fence its successor."""

import asyncio
import os
import signal
from typing import Any

import pytest

from kit.core.events import Outgoing
from kit.kafka import TransactionalProducer
from tests.support.names import own_id, seeded
from tests.support.processes import Processes
from tests.support.stack import RunningStack
from tests.support.things import Things
from tests.support.waiting import eventually

pytestmark = pytest.mark.faults


def outgoing(things: Things, version: int) -> Outgoing:
    identity = own_id().encode()
    headers = [("ce_subject", identity), ("ce_sequence", b"%d" % version)]
    return Outgoing(things.topic, 0, identity, b"{}", headers)


async def nothing_is_left_since(before: set[asyncio.Task[Any]]) -> bool:
    return not any("ender" in repr(task.get_coro()) for task in asyncio.all_tasks() - before)


async def test_a_producer_cancelled_in_a_transaction_leaves_nothing(
    stack: RunningStack, processes: Processes, things: Things
) -> None:
    random, before = seeded(), asyncio.all_tasks()
    for round_ in range(5):
        producer = TransactionalProducer(things.settings, things.group)
        await producer.start()
        await producer.commit([outgoing(things, 1)], 2 * round_ + 1, "whole")
        kafka = await processes.pid("kafka")
        os.kill(kafka, signal.SIGSTOP)
        try:
            cut_off = asyncio.create_task(producer.commit([outgoing(things, 2)], 2 * round_ + 2, "never"))
            await asyncio.sleep(random.uniform(0, 0.2))
            cut_off.cancel()
            await asyncio.wait([cut_off])
            async with asyncio.timeout(10):
                await producer.discard()
        finally:
            os.kill(kafka, signal.SIGCONT)
        await eventually(lambda: nothing_is_left_since(before), 5, f"nothing is left of it in round {round_}")
    successor = TransactionalProducer(things.settings, things.group)
    await successor.start()
    try:
        for number in range(20):
            await successor.commit([outgoing(things, 3)], 100 + number, "after")
            await asyncio.sleep(0.05)  # time for a zombie to fence the successor
    finally:
        await successor.discard()
    versions = [version for _, version in await things.seen(25)]
    assert (versions.count(1), versions.count(2), versions.count(3)) == (5, 0, 20)
