"""What the api process runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx2

from contracts.access import READERS
from contracts.sessions import ENDED_SESSIONS, SENTENCES
from kit import mongo
from kit.core.clock import Clock, SystemClock
from kit.files import encrypted_bucket
from kit.http.app import create_app
from kit.http.quotas import Quotas
from kit.http.service_client import ServiceClient
from kit.privacy.access_audit import AccessAudit
from kit.redis import RedisServer
from kit.runtime.health import Check
from kit.runtime.process import Api
from kit.security.encryption import Cipher
from kit.security.ended_sessions import EndedSessions
from kit.security.tokens import TokenVerifier, jwks_over_http
from services.signature.api import ApiDependencies, router
from services.signature.form.printing import Printing
from services.signature.form.service import SheetService
from services.signature.service import SignatureService
from services.signature.settings import Settings
from services.signature.store import Signatures, SignatureSheets
from services.signature.wiring import NAME

ASK_SECONDS = 5


@asynccontextmanager
async def api(settings: Settings, clock: Clock = SystemClock()) -> AsyncIterator[Api]:
    """The HTTP API; `clock` is that of forms and signatures, tokens go by the system's."""
    async with (
        mongo.connect(settings.mongo, NAME) as database,
        encrypted_bucket.connect(settings.blobs, Cipher(settings.seal), settings.seal_files) as bucket,
        RedisServer(settings.redis, NAME) as redis,
        httpx2.AsyncClient(base_url=settings.identity_url, timeout=ASK_SECONDS) as http,
    ):
        forms, signatures, looks = (
            SignatureSheets(database),
            Signatures(database),
            AccessAudit(database, clock, READERS),
        )
        printing = Printing(settings.fonts, settings.seal.index_key)
        ended = EndedSessions(redis, ENDED_SESSIONS, SENTENCES, SystemClock())
        fetch = jwks_over_http(settings.tokens.jwks_url)
        verifier = TokenVerifier(fetch, settings.tokens, SystemClock(), ended.get)
        made = SheetService(
            forms, ServiceClient("identity", http), printing, Cipher(settings.seal), looks, clock,
            settings.forms.lifetime_days,
        )  # fmt: skip
        dependencies = ApiDependencies(made, SignatureService(signatures, bucket, looks, clock), settings.rules)
        app = create_app(NAME, "签名", settings, verifier, router, dependencies)
        app.state.quotas = Quotas(redis.limits, settings.quotas)
        indexes = {"forms": forms.prepare, "signatures": signatures.prepare, "looks": looks.prepare}
        servers: dict[str, Check] = {
            "mongo": partial(mongo.ping, database),
            "bucket": bucket.prepare,
            "tokens": verifier.ready,
            "fonts": printing.ready,
        }
        yield Api(app, servers | indexes, [ended.follow])
