"""The one place where records' concrete things meet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx2

from contracts.access import READERS
from contracts.sessions import ENDED_SESSIONS, SENTENCES
from kit import mongo
from kit.core.clock import SystemClock
from kit.files import blobs
from kit.files.sweeper import Sweeper
from kit.formats import tabular
from kit.formats.tabular import Tables
from kit.http.app import create_app
from kit.http.quotas import Quotas
from kit.http.service_client import ClientCredentials, ServiceClient
from kit.imports.model import FOLDERS, ImportFiles, Imports
from kit.imports.routes import ImportDependencies, add_imports
from kit.imports.worker import ImportWorker
from kit.messaging.groups import consumers, names
from kit.messaging.publisher import Publisher
from kit.mongo.removal import Purge, Removal, retention_rules
from kit.privacy.access_audit import AccessAudit
from kit.privacy.erasure import Erasure, confirmed_over_http
from kit.redis import RedisServer
from kit.runtime.health import Check
from kit.runtime.process import Api, Service, Worker
from kit.sandbox.pool import Sandbox
from kit.security.encryption import Cipher
from kit.security.ended_sessions import EndedSessions
from kit.security.tokens import TokenVerifier, jwks_over_http
from services.records.api import router
from services.records.consumers import GROUPS, Handlers
from services.records.imports import COLUMNS_BY_KIND, RecordImport
from services.records.kinds import KINDS
from services.records.people import SCOPE, People
from services.records.publications import PUBLICATIONS
from services.records.service import RecordService
from services.records.settings import Settings
from services.records.store import COLLECTION, COMPACTED, PERSONAL_DATA, Records

NAME = "records"
ASK_SECONDS = 10
IMPORT_SCOPE, TOKEN_PATH = "imports:write", "/api/identity/oauth/token"


@asynccontextmanager
async def api(settings: Settings) -> AsyncIterator[Api]:
    """The HTTP API."""
    clock = SystemClock()
    async with (
        mongo.connect(settings.mongo, NAME) as database,
        blobs.connect(settings.blobs) as bucket,
        RedisServer(settings.redis, NAME) as redis,
        Sandbox(limits=tabular.LIMITS) as sandbox,
    ):
        records, looks, imports = Records(database), AccessAudit(database, clock, READERS), Imports(database)
        ended = EndedSessions(redis, ENDED_SESSIONS, SENTENCES, clock)
        verifier = TokenVerifier(jwks_over_http(settings.tokens.jwks_url), settings.tokens, clock, ended.get)
        app = create_app(NAME, "从业记录", settings, verifier, router, RecordService(records, looks, clock))
        app.state.quotas = Quotas(redis.limits, settings.quotas)
        files = ImportFiles(bucket, Cipher(settings.seal))
        dependencies = ImportDependencies(COLUMNS_BY_KIND, IMPORT_SCOPE, imports, files, Tables(sandbox), clock)
        add_imports(app, f"/api/{NAME}", dependencies)
        indexes = {"indexes": records.prepare, "indexes of looks": looks.prepare, "indexes of imports": imports.prepare}
        servers: dict[str, Check] = {
            "mongo": partial(mongo.ping, database),
            "bucket": bucket.prepare,
            "tokens": verifier.ready,
        }
        yield Api(app, servers | indexes, [ended.follow])


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    """The publisher, who listens to attachments, people and erasures, the purge, and who carries imports out."""
    clock = SystemClock()
    async with (
        mongo.connect(settings.mongo, NAME) as database,
        blobs.connect(settings.blobs) as bucket,
        httpx2.AsyncClient(base_url=settings.identity_url, timeout=ASK_SECONDS) as http,
    ):
        publisher = Publisher(NAME, database, PUBLICATIONS, settings.kafka, settings.instance)
        records, imports = Records(database), Imports(database)
        service = RecordService(records, AccessAudit(database, clock, READERS), clock)
        removal = Removal(database, clock, COMPACTED)
        confirmed = confirmed_over_http(settings.tokens.erased_url)
        erasure = Erasure(database, PERSONAL_DATA, removal, names(GROUPS), settings.kafka, clock, confirmed=confirmed)
        handlers = Handlers(service, records, erasure)
        running = consumers(GROUPS, handlers, erasure.unless_erased, settings.kafka, settings.instance)
        people = People(ServiceClient("identity", http), ClientCredentials(http, TOKEN_PATH, settings.client, SCOPE))
        targets = {
            kind: RecordImport(KINDS[kind], records, people, clock, settings.sources) for kind in COLUMNS_BY_KIND
        }
        importer = ImportWorker(imports, ImportFiles(bucket, Cipher(settings.seal)), targets, settings.instance, clock)
        sweeper = Sweeper(FOLDERS, imports.in_folders, bucket, clock)
        purge = Purge(removal, retention_rules(settings.retention, COLLECTION, "deleted"), clock)
        checks: dict[str, Check] = {"mongo": partial(mongo.ping, database), "indexes": erasure.prepare}
        yield Worker(publisher, running, checks, [erasure.run, purge.run, importer.run, sweeper.run])


SERVICE = Service(NAME, Settings, api, worker)
