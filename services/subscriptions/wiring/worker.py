"""What the worker process runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from kit import mongo
from kit.core.clock import Clock, SystemClock
from kit.kafka import Reader
from kit.kafka.work_assignment import WorkAssignment
from kit.messaging.groups import consumers
from kit.mongo import Database
from kit.runtime.health import Check
from kit.runtime.process import Worker
from kit.security.encryption import Cipher
from services.subscriptions.consumers import GROUPS
from services.subscriptions.readers import KafkaReaders
from services.subscriptions.settings import Settings
from services.subscriptions.webhooks.calls import calls
from services.subscriptions.webhooks.deliverer import Deliverer, DeliveryStores
from services.subscriptions.webhooks.dispatcher import Dispatcher
from services.subscriptions.webhooks.domain import Retries, Webhook
from services.subscriptions.webhooks.store import Clients
from services.subscriptions.wiring import NAME
from services.subscriptions.wiring.shared import TOPIC, call_limits, stores_of

READERS = 4


SHARES = "subscriptions.webhooks"


@asynccontextmanager
async def dispatcher(settings: Settings, database: Database, clock: Clock) -> AsyncIterator[Dispatcher]:
    """What a worker delivers with."""
    stores, own = stores_of(database), settings.webhooks
    readers = KafkaReaders(settings.kafka, TOPIC, READERS)
    files = DeliveryStores(stores.progress, stores.deliveries, stores.replays)
    retries = Retries(own.pauses, timedelta(seconds=own.give_up_seconds))
    sealer = Cipher(settings.seal)

    @asynccontextmanager
    async def deliverer(webhook: Webhook) -> AsyncIterator[Deliverer]:
        reader = Reader(settings.kafka, TOPIC)
        async with calls(call_limits(settings), own.at_once, sealer, clock) as made:
            yield Deliverer(webhook, made, files, reader, readers, retries, own.at_once, clock)

    try:
        yield Dispatcher(stores.webhooks, stores.clients, deliverer, clock)
    finally:
        await readers.close()


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    """Who delivers to webhooks (several workers share them), and who listens to what becomes of clients."""
    async with (
        mongo.connect(settings.mongo, NAME) as database,
        dispatcher(settings, database, SystemClock()) as delivering,
    ):
        shares = WorkAssignment(SHARES, settings.kafka, settings.instance, delivering.let_go)
        checks: dict[str, Check] = {"mongo": partial(mongo.ping, database), "webhooks": delivering.check}
        running = consumers(GROUPS, Clients(database), None, settings.kafka, settings.instance)
        yield Worker(None, running, checks, [shares.run, partial(delivering.run, shares.mine)])
