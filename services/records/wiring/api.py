"""The objects of the api process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from contracts.access import READERS
from contracts.quotas import QUOTAS
from contracts.sessions import ENDED_SESSIONS, SENTENCES
from kit import mongo
from kit.core.clock import SystemClock
from kit.files import blobs
from kit.formats import tabular
from kit.formats.tabular import Tables
from kit.http.app import create_app
from kit.http.quotas import Quotas
from kit.imports.model import ImportFiles, Imports
from kit.imports.routes import ImportDependencies, add_imports
from kit.privacy.access_audit import AccessAudit
from kit.redis import RedisServer
from kit.runtime.health import Check
from kit.runtime.process import Api
from kit.sandbox.pool import Sandbox
from kit.security.encryption import Cipher
from kit.security.ended_sessions import EndedSessions
from kit.security.tokens import TokenVerifier, jwks_over_http
from services.records.api import router
from services.records.disputes import api as disputes_api
from services.records.disputes.service import DisputeService
from services.records.imports import COLUMNS_BY_KIND
from services.records.service import RecordService
from services.records.settings import Settings
from services.records.store import Disputes, Records
from services.records.wiring import NAME

IMPORT_SCOPE = "imports:write"


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
        records, disputes = Records(database), Disputes(database)
        audit = AccessAudit(database, clock, READERS)
        imports = Imports(database)
        ended = EndedSessions(redis, ENDED_SESSIONS, SENTENCES, clock)
        verifier = TokenVerifier(jwks_over_http(settings.tokens), settings.tokens, clock, ended.get)
        app = create_app(NAME, "从业记录", settings, verifier, router, RecordService(records, audit, clock))
        app.include_router(disputes_api.router)
        app.state.disputes = DisputeService(disputes, records, audit, clock)
        app.state.quotas = Quotas(redis.limits, settings.quotas, QUOTAS)
        files = ImportFiles(bucket, Cipher(settings.seal))
        dependencies = ImportDependencies(COLUMNS_BY_KIND, IMPORT_SCOPE, imports, files, Tables(sandbox), clock)
        add_imports(app, f"/api/{NAME}", dependencies)
        checks: dict[str, Check] = {
            "mongo": partial(mongo.ping, database),
            "bucket": bucket.prepare,
            "tokens": verifier.ready,
            "indexes": records.prepare,
            "indexes of disputes": disputes.prepare,
            "indexes of the access log": audit.prepare,
            "indexes of imports": imports.prepare,
        }
        yield Api(app, checks, [ended.follow])
