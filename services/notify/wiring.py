"""The one place where notify's concrete things meet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from kit import mongo
from kit.auth import TokenVerifier, jwks_over_http
from kit.clock import SystemClock
from kit.consumer import Consumer
from kit.http import create_app
from kit.process import Api, Service, Worker
from kit.publisher import Publisher
from kit.seal import Sealer
from services.notify.api import router
from services.notify.consumers import GROUP, TOPICS, handlers
from services.notify.providers.tencent import Tencent
from services.notify.publications import PUBLICATIONS
from services.notify.service import NotifyService
from services.notify.settings import Settings
from services.notify.store import Messages

NAME = "notify"


def _service(settings: Settings, messages: Messages) -> NotifyService:
    bus, rest = Sealer(settings.bus), Sealer(settings.seal)
    return NotifyService(messages, bus, rest, Tencent(settings.tencent), SystemClock())


@asynccontextmanager
async def api(settings: Settings) -> AsyncIterator[Api]:
    """The HTTP API for operators."""
    async with mongo.connect(settings.mongo, NAME) as database:
        messages = Messages(database)
        verifier = TokenVerifier(jwks_over_http(settings.tokens.jwks_url), settings.tokens, SystemClock())
        app = create_app(NAME, "消息", settings, verifier, router, _service(settings, messages))
        yield Api(app, {"mongo": partial(mongo.ping, database), "tokens": verifier.ready, "indexes": messages.prepare})


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    """The publisher, and the consumer that sends."""
    async with mongo.connect(settings.mongo, NAME) as database:
        publisher = Publisher(NAME, database, PUBLICATIONS, settings.kafka, settings.instance)
        table = handlers(_service(settings, Messages(database)))
        requests = Consumer(GROUP, TOPICS, table, settings.kafka, settings.instance)
        yield Worker(publisher, [requests], {"mongo": partial(mongo.ping, database)})


SERVICE = Service(NAME, Settings, api, worker)
