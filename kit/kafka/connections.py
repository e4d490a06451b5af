"""What all clients share: security, connecting, closing, and translating errors."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, ProducerFenced

import kit.kafka.aiokafka_patches  # noqa: F401  # patches aiokafka
from kit.core.errors import Unavailable, is_ending
from kit.observability import log
from kit.runtime import tls
from kit.settings import KafkaSettings

CLOSE_SECONDS = 3
METADATA_MS = 60_000
"""How old a client's list of brokers may be: after that time it knows those that came back."""
Fenced = ProducerFenced

logger = log.get(__name__)


class OffsetGone(Exception):
    """The topic does not hold this offset: it was recreated, or its beginning was deleted."""


def options(settings: KafkaSettings) -> dict[str, object]:
    """The arguments of every client: the brokers' addresses, TLS if there is a CA, and the user."""
    found: dict[str, object] = {"bootstrap_servers": settings.servers, "metadata_max_age_ms": METADATA_MS}
    if settings.ca:
        found |= {"security_protocol": "SSL", "ssl_context": tls.client_context(settings.ca)}
    if settings.user:
        found |= {
            "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": settings.user, "sasl_plain_password": settings.password.get_secret_value(),
        }  # fmt: skip
    return found


@contextmanager
def translate_errors() -> Iterator[None]:
    """An error of the broker or the network becomes `Unavailable`, one of our position `OffsetGone` or `Fenced`.

    A cancellation by aiokafka becomes `Unavailable`, too: it cancels its caller when a connection breaks, which a task
    group would take for an intended cancellation.
    """
    try:
        yield
    except Fenced:
        raise
    except OffsetOutOfRangeError as error:
        raise OffsetGone from error
    except (KafkaError, TimeoutError) as error:
        raise Unavailable("Kafka") from error
    except asyncio.CancelledError as error:
        if is_ending():
            raise
        raise Unavailable("Kafka") from error


async def connected(client: AIOKafkaConsumer | AIOKafkaProducer | AIOKafkaAdminClient, seconds: float) -> None:
    """Connect within this time. Raises `Unavailable`, `Fenced`."""
    with translate_errors():
        async with asyncio.timeout(seconds):
            await client.start()


async def close(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    """Disconnect; a failure is logged."""
    try:
        with translate_errors():
            async with asyncio.timeout(CLOSE_SECONDS):
                await client.stop()
    except Exception:
        logger.warning("Kafka client close failed", exc_info=True)
