"""The one place where subscriptions' concrete things meet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from contracts.records import RecordChanged
from contracts.sessions import ENDED_SESSIONS, SENTENCES
from kit import mongo
from kit.core.clock import Clock, SystemClock
from kit.http.app import create_app
from kit.http.outbound import Limits
from kit.http.request_limits import Allowance
from kit.kafka import Reader
from kit.kafka.work_assignment import WorkAssignment
from kit.messaging.groups import consumers
from kit.mongo import Database
from kit.redis import RedisServer
from kit.runtime.health import Check
from kit.runtime.process import Api, Service, Worker
from kit.security.encryption import Cipher
from kit.security.ended_sessions import EndedSessions
from kit.security.tokens import TokenVerifier, jwks_over_http
from services.subscriptions.api import ApiDependencies
from services.subscriptions.consumers import GROUPS
from services.subscriptions.feed import api as feed_api
from services.subscriptions.feed.service import Feed
from services.subscriptions.feed.tail import Tail
from services.subscriptions.readers import KafkaReaders
from services.subscriptions.settings import MAX_WAIT, Settings
from services.subscriptions.webhooks import api as webhooks_api
from services.subscriptions.webhooks.calls import calls
from services.subscriptions.webhooks.deliverer import Deliverer, DeliveryStores
from services.subscriptions.webhooks.dispatcher import Dispatcher
from services.subscriptions.webhooks.domain import Retries, Webhook
from services.subscriptions.webhooks.service import Stores, WebhookService
from services.subscriptions.webhooks.store import Clients, Deliveries, Progresses, Replays, Webhooks

NAME = "subscriptions"
TOPIC = RecordChanged.TOPIC
SHARES = "subscriptions.webhooks"
READERS = 4


def _stores(database: Database) -> Stores:
    return Stores(Webhooks(database), Replays(database), Deliveries(database), Progresses(database), Clients(database))


def _limits(settings: Settings) -> Limits:
    """A developer's receiver is on the same machine; nowhere else may ours be called."""
    local, own = settings.environment == "local", settings.webhooks
    return Limits(own.connect_seconds, own.answer_seconds, loopback=local)


def _service(settings: Settings, stores: Stores, clock: Clock) -> WebhookService:
    sealer, limits = Cipher(settings.seal), _limits(settings)
    make = partial(calls, limits, 1, sealer, clock)
    return WebhookService(stores, make, sealer, settings.webhooks, clock, loopback=limits.loopback)


@asynccontextmanager
async def api(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Api]:
    """The HTTP API: the feed, and clients' webhooks."""
    clock = clock or SystemClock()
    tail = Tail(settings.kafka, TOPIC, settings.feed.memory_bytes)
    readers = KafkaReaders(settings.kafka, TOPIC, settings.feed.readers)
    async with mongo.connect(settings.mongo, NAME) as database, RedisServer(settings.redis, NAME) as redis:
        stores, ended = _stores(database), EndedSessions(redis, ENDED_SESSIONS, SENTENCES, clock)
        feed = Feed(tail, readers, settings.kafka.partitions, settings.feed.polls)
        verifier = TokenVerifier(jwks_over_http(settings.tokens.jwks_url), settings.tokens, clock, ended.get)
        app = create_app(
            NAME, "订阅", settings, verifier, feed_api.router, ApiDependencies(feed, _service(settings, stores, clock))
        )
        app.include_router(webhooks_api.router)
        app.state.allowances[feed_api.CHANGES] = Allowance(
            settings.http.max_body_bytes, settings.http.timeout_seconds + MAX_WAIT
        )
        checks: dict[str, Check] = {
            "mongo": partial(mongo.ping, database), "tokens": verifier.ready, "indexes": stores.prepare,
            "feed": tail.check,
        }  # fmt: skip
        try:
            yield Api(app, checks, [tail.run, ended.follow])
        finally:
            await readers.close()


@asynccontextmanager
async def dispatcher(settings: Settings, database: Database, clock: Clock) -> AsyncIterator[Dispatcher]:
    """What a worker delivers with."""
    stores, own = _stores(database), settings.webhooks
    readers = KafkaReaders(settings.kafka, TOPIC, READERS)
    files = DeliveryStores(stores.progress, stores.deliveries, stores.replays)
    retries = Retries(own.pauses, timedelta(seconds=own.give_up_seconds))
    sealer = Cipher(settings.seal)

    @asynccontextmanager
    async def deliverer(webhook: Webhook) -> AsyncIterator[Deliverer]:
        reader = Reader(settings.kafka, TOPIC)
        async with calls(_limits(settings), own.at_once, sealer, clock) as made:
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


SERVICE = Service(NAME, Settings, api, worker)
