"""Monkeypatches for aiokafka bugs, applied to the process by importing this module.

Writing to a transport that has just been closed raises RuntimeError with uvloop, which aiokafka does not handle
(aio-libs/aiokafka#1038, open): the task ends silently, and if it is the one that finds the brokers, the client waits
for them without end. The patch turns the error into a broken connection.

Records that were fetched but not all read refer to themselves by their own iterator, so only the garbage collector
frees them, which runs rarely (`tune`): a reader that seeks often would keep half a megabyte for each position. The
patch makes the reference weak.

A client that is being closed suppresses the cancellation of its own task, and with it one of the task that closes it:
the caller would go on as if nobody had cancelled it. The patch closes the client and raises the cancellation.

A client that is cancelled while its first connection waits for an answer forgets the connection, which is reported as
unclosed when it is freed. The patch closes it.

A connection with TLS that is closed waits up to 30 s for the broker's farewell, which does not come if the broker was
just sending something (seen with uvloop: every second reader of a topic). The patch ends it at once: who closes it has
the answers that it waited for, and the broker reads a connection's end in any form.
"""

import asyncio
import weakref
from collections.abc import Awaitable, Iterator

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import KafkaConnectionError

_send = AIOKafkaConnection.send
_unpack = PartitionRecords._unpack_records
_close = AIOKafkaClient.close
_close_connection = AIOKafkaConnection.close


def _send_or_break(connection: AIOKafkaConnection, *args: object, **options: object) -> Awaitable[object]:
    try:
        sent: Awaitable[object] = _send(connection, *args, **options)
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)
        raise KafkaConnectionError(f"connection to {connection.host}:{connection.port} broke") from error
    return sent if connection._on_close_cb else _closed_if_cancelled(connection, sent)


async def _closed_if_cancelled(connection: AIOKafkaConnection, sent: Awaitable[object]) -> object:
    """For the first connection of a client, the only one without a callback for its end."""
    try:
        return await sent
    except asyncio.CancelledError:
        connection.close()
        raise


def _unpack_of_another(records: PartitionRecords) -> Iterator[object]:
    unpacked: Iterator[object] = _unpack(weakref.proxy(records))
    return unpacked


async def _close_and_stay_cancelled(client: AIOKafkaClient) -> None:
    syncing, client._sync_task = client._sync_task, None
    try:
        if syncing:
            syncing.cancel()
            await asyncio.wait([syncing])
    finally:
        await _close(client)


def _close_without_farewell(
    connection: AIOKafkaConnection, reason: CloseReason | None = None, exc: Exception | None = None
) -> "asyncio.Future[None]":
    writer = connection._writer
    closed: asyncio.Future[None] = _close_connection(connection, reason=reason, exc=exc)
    if writer and connection._ssl_context:
        writer.transport.abort()
    return closed


AIOKafkaConnection.send = _send_or_break
AIOKafkaConnection.close = _close_without_farewell
AIOKafkaClient.close = _close_and_stay_cancelled
PartitionRecords._unpack_records = _unpack_of_another
