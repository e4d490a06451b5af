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
from kit.erasure import Erasure
from kit.health import Check
from kit.http import create_app
from kit.process import Api, Service, Worker
from kit.publisher import Publisher
from kit.removal import Purge, Removal, outlived
from services.records import consumers
from services.records.api import router
from services.records.publications import PUBLICATIONS
from services.records.service import RecordService
from services.records.settings import Settings
from services.records.store import COLLECTION, HOLDINGS, TOLD, Records

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
    """The publisher, who listens to attachments, erasures, and the purge."""
    clock = SystemClock()
    async with mongo.connect(settings.mongo, NAME) as database:
        publisher = Publisher(NAME, database, PUBLICATIONS, settings.kafka, settings.instance)
        service = RecordService(Records(database), Looks(database, clock, READERS), clock)
        removal, groups = Removal(database, clock, TOLD), [consumers.ATTACHMENTS, consumers.ERASURES]
        erasure = Erasure(database, HOLDINGS, removal, groups, settings.kafka, clock)
        tables = {
            (consumers.ATTACHMENTS, *consumers.ATTACHMENT_TOPICS): erasure.guarded(consumers.attachments(service)),
            (consumers.ERASURES, *consumers.ERASURE_TOPICS): consumers.erasures(erasure),
        }
        running = [
            Consumer(group, topics, table, settings.kafka, settings.instance)
            for (group, *topics), table in tables.items()
        ]
        purge = Purge(removal, outlived(settings.retention, COLLECTION, "deleted"), clock)
        checks: dict[str, Check] = {"mongo": partial(mongo.ping, database), "indexes": erasure.prepare}
        yield Worker(publisher, running, checks, [erasure.run, purge.run])


SERVICE = Service(NAME, Settings, api, worker)
