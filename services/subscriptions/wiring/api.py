"""The objects of the api process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from contracts.sessions import ENDED_SESSIONS, SENTENCES
from kit import mongo
from kit.core.clock import Clock, SystemClock
from kit.http.admission import Priority
from kit.http.app import create_app
from kit.http.request_limits import Allowance
from kit.redis import RedisServer
from kit.runtime.health import Check
from kit.runtime.process import Api
from kit.security.encryption import Cipher
from kit.security.ended_sessions import EndedSessions
from kit.security.tokens import TokenVerifier, jwks_over_http
from services.subscriptions.api import ApiDependencies
from services.subscriptions.feed import api as feed_api
from services.subscriptions.feed.recent_events import RecentEvents
from services.subscriptions.feed.service import Feed
from services.subscriptions.readers import KafkaReaders
from services.subscriptions.settings import MAX_WAIT, Settings
from services.subscriptions.webhooks import api as webhooks_api
from services.subscriptions.webhooks.client import webhook_client
from services.subscriptions.webhooks.service import Stores, WebhookService
from services.subscriptions.wiring import NAME
from services.subscriptions.wiring.shared import TOPIC, stores_of, webhook_limits


def _service(settings: Settings, stores: Stores, clock: Clock) -> WebhookService:
    cipher = Cipher(settings.seal)
    limits = webhook_limits(settings)
    make_client = partial(webhook_client, limits, 1, cipher, clock)
    return WebhookService(stores, make_client, cipher, settings.webhooks, clock, loopback=limits.loopback)


@asynccontextmanager
async def api(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Api]:
    """The HTTP API: the change feed and webhooks."""
    clock = clock or SystemClock()
    recent = RecentEvents(settings.kafka, TOPIC, settings.feed.memory_bytes)
    readers = KafkaReaders(settings.kafka, TOPIC, settings.feed.readers)
    async with mongo.connect(settings.mongo, NAME) as database, RedisServer(settings.redis, NAME) as redis:
        stores, ended = stores_of(database), EndedSessions(redis, ENDED_SESSIONS, SENTENCES, clock)
        feed = Feed(recent, readers, settings.kafka.partitions, settings.feed.polls)
        verifier = TokenVerifier(jwks_over_http(settings.tokens), settings.tokens, clock, ended.get)
        app = create_app(
            NAME, "订阅", settings, verifier, feed_api.router, ApiDependencies(feed, _service(settings, stores, clock))
        )
        app.include_router(webhooks_api.router)
        app.state.allowances[feed_api.CHANGES] = Allowance(
            settings.http.max_body_bytes, settings.http.timeout_seconds + MAX_WAIT
        )
        app.state.priorities[feed_api.CHANGES] = Priority.EXEMPT
        checks: dict[str, Check] = {
            "mongo": partial(mongo.ping, database), "tokens": verifier.ready, "indexes": stores.prepare,
            "feed": recent.check,
        }  # fmt: skip
        try:
            yield Api(app, checks, [recent.run, ended.follow])
        finally:
            await readers.close()
