"""The one place where records' concrete things meet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from contracts.access import READERS
from kit import mongo
from kit.access import Looks
from kit.auth import TokenVerifier, jwks_over_http
from kit.clock import SystemClock
from kit.consumer import Consumer
from kit.http import create_app
from kit.process import Api, Service, Worker
from kit.publisher import Publisher
from services.records import consumers
from services.records.api import router
from services.records.publications import PUBLICATIONS
from services.records.service import RecordService
from services.records.settings import Settings
from services.records.store import Records

NAME = "records"


@asynccontextmanager
async def api(settings: Settings) -> AsyncIterator[Api]:
    """The HTTP API."""
    clock = SystemClock()
    async with mongo.connect(settings.mongo, NAME) as database:
        records, looks = Records(database), Looks(database, clock, READERS)
        verifier = TokenVerifier(jwks_over_http(settings.tokens.jwks_url), settings.tokens, clock)
        app = create_app(NAME, "从业记录", settings, verifier, router, RecordService(records, looks, clock))
        checks = {"indexes": records.prepare, "indexes of looks": looks.prepare}
        yield Api(app, {"mongo": partial(mongo.ping, database), "tokens": verifier.ready, **checks})


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    """The publisher, and who listens to attachments."""
    clock = SystemClock()
    async with mongo.connect(settings.mongo, NAME) as database:
        publisher = Publisher(NAME, database, PUBLICATIONS, settings.kafka, settings.instance)
        service = RecordService(Records(database), Looks(database, clock, READERS), clock)
        table = consumers.attachments(service)
        group, topics = consumers.ATTACHMENTS, consumers.ATTACHMENT_TOPICS
        follower = Consumer(group, topics, table, settings.kafka, settings.instance)
        yield Worker(publisher, [follower], {"mongo": partial(mongo.ping, database)})


SERVICE = Service(NAME, Settings, api, worker)
