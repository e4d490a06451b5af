"""The objects of the worker process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from kit import mongo
from kit.core.clock import Clock, SystemClock
from kit.kafka import Reader
from kit.kafka.work_assignment import WorkAssignment
from kit.messaging.groups import consumers
from kit.mongo import Database, migrations
from kit.runtime.health import Check
from kit.runtime.process import Worker
from kit.security.encryption import Cipher
from services.subscriptions.consumers import GROUPS
from services.subscriptions.readers import KafkaReaders
from services.subscriptions.settings import Settings
from services.subscriptions.webhooks.client import webhook_client
from services.subscriptions.webhooks.deliverer import Deliverer, DeliveryStores
from services.subscriptions.webhooks.dispatcher import Dispatcher
from services.subscriptions.webhooks.domain import Retries, Webhook
from services.subscriptions.webhooks.store import Clients
from services.subscriptions.wiring import NAME
from services.subscriptions.wiring.shared import TOPIC, stores_of, webhook_limits

READERS = 4
ASSIGNMENT = "subscriptions.webhooks"


@asynccontextmanager
async def dispatcher(settings: Settings, database: Database, clock: Clock) -> AsyncIterator[Dispatcher]:
    """The dispatcher of a worker."""
    stores = stores_of(database)
    readers = KafkaReaders(settings.kafka, TOPIC, READERS)
    delivery_stores = DeliveryStores(stores.progress, stores.deliveries, stores.replays)
    retries = Retries(settings.webhooks.pauses, timedelta(seconds=settings.webhooks.give_up_seconds))
    at_once = settings.webhooks.at_once
    cipher = Cipher(settings.seal)

    @asynccontextmanager
    async def deliverer(webhook: Webhook) -> AsyncIterator[Deliverer]:
        reader = Reader(settings.kafka, TOPIC)
        async with webhook_client(webhook_limits(settings), at_once, cipher, clock) as client:
            yield Deliverer(webhook, client, delivery_stores, reader, readers, retries, at_once, clock)

    try:
        yield Dispatcher(stores.webhooks, stores.clients, deliverer, clock)
    finally:
        await readers.close()


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    """The dispatcher of webhooks, which are assigned to several workers, and the consumer of clients' events."""
    async with (
        mongo.connect(settings.mongo, NAME) as database,
        dispatcher(settings, database, SystemClock()) as webhooks,
    ):
        assignment = WorkAssignment(ASSIGNMENT, settings.kafka, settings.instance, webhooks.release)
        checks: dict[str, Check] = {"mongo": partial(mongo.ping, database), "webhooks": webhooks.check}
        running = consumers(GROUPS, Clients(database), None, settings.kafka, settings.instance)
        migrating = partial(migrations.report, database, NAME)
        yield Worker(None, running, checks, [assignment.run, partial(webhooks.run, assignment.mine), migrating])
