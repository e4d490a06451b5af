"""What becomes of a part of a process that loses its server, ends, or is cancelled."""

import asyncio
from contextlib import suppress

import pytest
import uvloop
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from kit.core.errors import Unavailable
from kit.kafka import Fenced, KafkaError, OffsetGone
from kit.kafka.connections import world
from kit.runtime.process import Part, keep_running
from tests.support.stack import RunningStack


async def cancelled_by_itself() -> None:
    """As a library does that lets a cancellation of its own out."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def test_without_its_server_a_part_is_begun_anew() -> None:
    began, well = 0, asyncio.Event()

    async def part() -> None:
        nonlocal began
        began += 1
        if began < 3:
            raise Unavailable("Kafka")
        well.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(keep_running(part, pause_seconds=0.001))
    await asyncio.wait_for(well.wait(), 5)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert (began, task.cancelled()) == (3, True)


async def ends() -> None:
    return


@pytest.mark.parametrize("part", [cancelled_by_itself, ends])
async def test_a_part_that_ends_or_is_cancelled_by_nobody_ends_the_process(part: Part) -> None:
    """A task group would pass over a cancelled one, and the process would go on without it."""
    with pytest.raises(ExceptionGroup) as caught:
        await beside_others(part)
    assert [type(error) for error in caught.value.exceptions] == [RuntimeError]


async def beside_others(part: Part) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(keep_running(part))
        group.create_task(asyncio.sleep(60))


async def test_a_broken_connection_does_not_look_like_a_cancellation() -> None:
    with pytest.raises(Unavailable), world():
        await cancelled_by_itself()


async def test_who_is_cancelled_stays_cancelled() -> None:
    async def wait() -> None:
        with world():
            await asyncio.sleep(60)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


@pytest.mark.parametrize(
    ("raised", "seen"),
    [(KafkaError(), Unavailable), (TimeoutError(), Unavailable), (Fenced(), Fenced), (OffsetGone(), OffsetGone)],
)
async def test_errors_of_the_broker_are_told_apart(raised: Exception, seen: type[Exception]) -> None:
    with pytest.raises(seen), world():
        raise raised


def test_writing_into_a_connection_that_closed_a_moment_ago_says_that_it_broke(stack: RunningStack) -> None:
    """With the event loop of our processes, which calls it a RuntimeError."""
    host, _, port = stack.kafka.rpartition(":")

    async def write() -> None:
        connection = await create_conn(host, int(port))
        connection._writer.transport.abort()
        await asyncio.sleep(0)
        with pytest.raises(KafkaConnectionError):
            await connection.send(MetadataRequest([]))
        assert not connection.connected()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(write())
