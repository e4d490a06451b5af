"""The objects of the api process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from contracts.access import READERS
from contracts.quotas import QUOTAS
from contracts.sessions import ENDED_SESSIONS, SENTENCES
from kit import mongo
from kit.core.clock import Clock, SystemClock
from kit.files import encrypted_bucket
from kit.http.app import create_app
from kit.http.quotas import Quotas
from kit.http.service_client import ServiceClient, http_client
from kit.privacy.access_audit import AccessAudit
from kit.redis import RedisServer
from kit.runtime.health import Check
from kit.runtime.process import Api
from kit.security.encryption import Cipher
from kit.security.ended_sessions import EndedSessions
from kit.security.tokens import TokenVerifier, jwks_over_http
from services.signature.api import ApiDependencies, router
from services.signature.service import SignatureService
from services.signature.settings import Settings
from services.signature.sheets.printing import Printing
from services.signature.sheets.service import SheetService
from services.signature.store import Signatures, SignatureSheets
from services.signature.wiring import NAME

IDENTITY_TIMEOUT_SECONDS = 5


@asynccontextmanager
async def api(settings: Settings, clock: Clock = SystemClock()) -> AsyncIterator[Api]:
    """The HTTP API; `clock` is used for sheets and signatures, the system's clock for tokens."""
    async with (
        mongo.connect(settings.mongo, NAME) as database,
        encrypted_bucket.connect(settings.blobs, Cipher(settings.seal), settings.seal_files) as bucket,
        RedisServer(settings.redis, NAME) as redis,
        http_client(settings.identity_url, IDENTITY_TIMEOUT_SECONDS, settings.tls.ca) as http,
    ):
        sheets = SignatureSheets(database)
        signatures = Signatures(database)
        audit = AccessAudit(database, clock, READERS)
        printing = Printing(settings.fonts, settings.seal.index_key)
        ended = EndedSessions(redis, ENDED_SESSIONS, SENTENCES, SystemClock())
        fetch = jwks_over_http(settings.tokens)
        verifier = TokenVerifier(fetch, settings.tokens, SystemClock(), ended.get)
        sheet_service = SheetService(
            sheets, ServiceClient("identity", http), printing, Cipher(settings.seal), audit, clock,
            settings.forms.lifetime_days,
        )  # fmt: skip
        signature_service = SignatureService(signatures, bucket, audit, clock)
        dependencies = ApiDependencies(sheet_service, signature_service, settings.rules)
        app = create_app(NAME, "签名", settings, verifier, router, dependencies)
        app.state.quotas = Quotas(redis.limits, settings.quotas, QUOTAS)
        checks: dict[str, Check] = {
            "mongo": partial(mongo.ping, database),
            "bucket": bucket.prepare,
            "tokens": verifier.ready,
            "fonts": printing.ready,
            "indexes of sheets": sheets.prepare,
            "indexes of signatures": signatures.prepare,
            "indexes of the access log": audit.prepare,
        }
        yield Api(app, checks, [ended.follow])
