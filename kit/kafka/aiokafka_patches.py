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

A client asks only the brokers of its last metadata for newer ones. If those are all unavailable, it never learns of the
others: after two brokers had been restarted, the loss of the third stopped every client for as long as that one was
away (seen in a cluster). The patch asks the bootstrap servers again, as KIP-899 has it.

A client connects to one broker at a time, for up to 40 s if its packets are dropped, and meanwhile to no other one;
and it tries a broker that refuses connections again without a pause, from every one of its tasks (100 attempts a second
in one process). The patch connects to several brokers at once, gives each six seconds (on a machine that is busy with
the start of many processes three were not enough, and what was tried again made it busier), and waits longer after each
failure, up to a second.

A partition whose records wait to be read is left out of the next request for records, and then waits for the answer to
that one although it has been read meanwhile. With a long `fetch_max_wait_ms`, which saves brokers and consumers most of
their work at rest, it would wait as long. The patch asks for an early answer to such requests.
"""

import asyncio
import random
import time
import weakref
from collections.abc import Awaitable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.consumer.fetcher import Fetcher, PartitionRecords
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.errors import KafkaConnectionError, KafkaError

_send = AIOKafkaConnection.send
_unpack = PartitionRecords._unpack_records
_close = AIOKafkaClient.close
_close_connection = AIOKafkaConnection.close
_get_conn = AIOKafkaClient._get_conn
_update_metadata = AIOKafkaClient._metadata_update
_requests_by_node = Fetcher._get_actions_per_node

CONNECT_SECONDS = 6.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
EARLY_ANSWER_MS = 250


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


async def _update_or_bootstrap(client: AIOKafkaClient, metadata: ClusterMetadata, topics: object) -> bool:
    if await _update_metadata(client, metadata, topics):
        return True
    if client._sync_task is None:  # the client is being closed
        return False
    with suppress(KafkaError):
        await client.bootstrap()
    return bool(await _update_metadata(client, metadata, topics))


@dataclass
class _Attempts:
    """Connections to one broker: one attempt at a time, how many failed in a row, and when to try again.

    `due` is by the monotonic clock.
    """

    count: int = 0
    due: float = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def note(self, *, failed: bool) -> None:
        self.count = self.count + 1 if failed else 0
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self.count, 10))
        self.due = time.monotonic() + pause * random.uniform(0.8, 1.2) if failed else 0  # noqa: S311  # jitter, no secret


_attempts: "weakref.WeakKeyDictionary[AIOKafkaClient, dict[object, _Attempts]]" = weakref.WeakKeyDictionary()


async def _connect_after_pause(
    client: AIOKafkaClient, node: object, *, group: ConnectionGroup = ConnectionGroup.DEFAULT, no_hint: bool = False
) -> AIOKafkaConnection | None:
    known = client._conns.get((node, group))
    if known is not None and known.connected():
        return known
    client._get_conn_lock_value = nullcontext()
    attempts = _attempts.setdefault(client, {}).setdefault((node, group), _Attempts())
    async with attempts.lock:
        return await _attempt(client, node, attempts, group=group, no_hint=no_hint)


async def _attempt(
    client: AIOKafkaClient, node: object, attempts: _Attempts, **options: object
) -> AIOKafkaConnection | None:
    await asyncio.sleep(max(0.0, attempts.due - time.monotonic()))
    connection = None
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await _get_conn(client, node, **options)
    except TimeoutError:
        client.force_metadata_update()
    attempts.note(failed=connection is None)
    return connection


def _requests_with_early_answers(fetcher: Fetcher, assignment: Assignment) -> object:
    usual = fetcher._fetch_max_wait_ms
    if any(partition in fetcher._records or assignment.state_value(partition).paused for partition in assignment.tps):
        fetcher._fetch_max_wait_ms = min(usual, EARLY_ANSWER_MS)
    try:
        return _requests_by_node(fetcher, assignment)
    finally:
        fetcher._fetch_max_wait_ms = usual


AIOKafkaConnection.send = _send_or_break
AIOKafkaConnection.close = _close_without_farewell
AIOKafkaClient.close = _close_and_stay_cancelled
AIOKafkaClient._get_conn = _connect_after_pause
AIOKafkaClient._metadata_update = _update_or_bootstrap
Fetcher._get_actions_per_node = _requests_with_early_answers
PartitionRecords._unpack_records = _unpack_of_another
