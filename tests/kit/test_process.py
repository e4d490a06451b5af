"""Tasks of a process: what happens when one loses its server, ends, or is cancelled."""

import asyncio
from contextlib import suppress

import pytest
import uvloop
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from kit.core.errors import Unavailable
from kit.kafka import Fenced, KafkaError, OffsetGone
from kit.kafka.connections import options, translate_errors
from kit.runtime.process import Task, keep_running
from tests.support.stack import RunningStack


async def leaked_cancellation() -> None:
    """Raises a cancellation, as a library does that leaks one of its own."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def test_a_task_whose_server_is_unavailable_is_restarted() -> None:
    began, running = 0, asyncio.Event()

    async def work() -> None:
        nonlocal began
        began += 1
        if began < 3:
            raise Unavailable("Kafka")
        running.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(keep_running(work, pause_seconds=0.001))
    await asyncio.wait_for(running.wait(), 5)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert (began, task.cancelled()) == (3, True)


async def ends() -> None:
    return


@pytest.mark.parametrize("task", [leaked_cancellation, ends])
async def test_a_task_that_ends_or_leaks_a_cancellation_ends_the_process(task: Task) -> None:
    """A task group ignores a cancelled task, and the process would continue without it."""
    with pytest.raises(ExceptionGroup) as caught:
        await beside_others(task)
    assert [type(error) for error in caught.value.exceptions] == [RuntimeError]


async def beside_others(task: Task) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(keep_running(task))
        group.create_task(asyncio.sleep(60))


async def test_a_broken_connection_is_not_a_cancellation() -> None:
    with pytest.raises(Unavailable), translate_errors():
        await leaked_cancellation()


async def test_a_cancelled_task_stays_cancelled() -> None:
    async def wait() -> None:
        with translate_errors():
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
async def test_broker_errors_are_transient_or_permanent(raised: Exception, seen: type[Exception]) -> None:
    with pytest.raises(seen), translate_errors():
        raise raised


def test_writing_to_a_connection_that_was_just_closed_is_a_connection_error(stack: RunningStack) -> None:
    """With uvloop, which raises a RuntimeError there."""
    security = options(stack.kafka)
    security.pop("metadata_max_age_ms")
    host, _, port = str(security.pop("bootstrap_servers")).rpartition(":")

    async def write() -> None:
        connection = await create_conn(host, int(port), **security)
        connection._writer.transport.abort()
        await asyncio.sleep(0)
        with pytest.raises(KafkaConnectionError):
            await connection.send(MetadataRequest([]))
        assert not connection.connected()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(write())
