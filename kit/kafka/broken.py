"""aiokafka and uvloop: a connection that breaks at the wrong moment must look like one.

Writing to a transport that was closed a moment ago is a RuntimeError with uvloop, of which aiokafka knows nothing
(aio-libs/aiokafka#1038, open): whichever of its tasks meets it ends without a word. When it is the one that looks for
the brokers, the client waits for them for ever. Importing this module mends it for the process.
"""

from collections.abc import Awaitable

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_send = AIOKafkaConnection.send


def _send_or_break(connection: AIOKafkaConnection, *args: object, **options: object) -> Awaitable[object]:
    try:
        sent: Awaitable[object] = _send(connection, *args, **options)
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)
        raise KafkaConnectionError(f"connection to {connection.host}:{connection.port} broke") from error
    return sent


AIOKafkaConnection.send = _send_or_break
