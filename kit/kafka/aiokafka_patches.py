"""Monkeypatches for aiokafka bugs, applied to the process by importing this module.

A connection that breaks at the wrong moment must look like one. Writing to a transport that was closed a moment ago is
a RuntimeError with uvloop, of which aiokafka knows nothing (aio-libs/aiokafka#1038, open): whichever of its tasks meets
it ends without a word. When it is the one that looks for the brokers, the client waits for them for ever.

What was fetched and not read to its end must go when nobody needs it. It refers to itself by its own iterator, so that
only the collector would free it, which comes seldom (`tune`): a reader that goes from place to place kept
half a megabyte of each.
"""

import weakref
from collections.abc import Awaitable, Iterator

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import KafkaConnectionError

_send = AIOKafkaConnection.send
_unpack = PartitionRecords._unpack_records


def _send_or_break(connection: AIOKafkaConnection, *args: object, **options: object) -> Awaitable[object]:
    try:
        sent: Awaitable[object] = _send(connection, *args, **options)
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)
        raise KafkaConnectionError(f"connection to {connection.host}:{connection.port} broke") from error
    return sent


def _unpack_of_another(records: PartitionRecords) -> Iterator[object]:
    unpacked: Iterator[object] = _unpack(weakref.proxy(records))
    return unpacked


AIOKafkaConnection.send = _send_or_break
PartitionRecords._unpack_records = _unpack_of_another
