"""The objects of the api process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from contracts.access import READERS
from contracts.quotas import QUOTAS
from contracts.sessions import ENDED_SESSIONS, SENTENCES
from kit import mongo
from kit.core.clock import SystemClock
from kit.files import encrypted_bucket
from kit.formats.images import Images
from kit.formats.photos.correction import Photos
from kit.http.app import create_app
from kit.http.quotas import Quotas
from kit.http.request_limits import Allowance
from kit.http.service_client import http_client
from kit.privacy.access_audit import AccessAudit
from kit.redis import RedisServer
from kit.runtime.health import Check
from kit.runtime.process import Api
from kit.sandbox.pool import Limits, Sandbox
from kit.security.encryption import Cipher
from kit.security.ended_sessions import EndedSessions
from kit.security.tokens import TokenVerifier, jwks_over_http
from services.attachments.api import CORRECTIONS, ApiDependencies, router
from services.attachments.corrections import Corrections
from services.attachments.settings import Settings
from services.attachments.store import Attachments
from services.attachments.wiring import NAME
from services.attachments.wiring.shared import RECORDS_TIMEOUT_SECONDS, attachment_service

# a photo takes half a second; a progressive JPEG of 48 megapixels needs 630 MB of addresses, 400 of memory
LIMITS = Limits(cpu_seconds=5, memory_bytes=768 * 1024 * 1024, seconds=15)
UNMEASURED_SECONDS = 1
"""Added to the time allowed for corrections, so that they don't count as slow requests in the limit of a process."""


@asynccontextmanager
async def api(settings: Settings) -> AsyncIterator[Api]:
    """The HTTP API."""
    clock = SystemClock()
    async with (
        mongo.connect(settings.mongo, NAME) as database,
        encrypted_bucket.connect(settings.blobs, Cipher(settings.seal), settings.seal_files) as bucket,
        RedisServer(settings.redis, NAME) as redis,
        http_client(settings.records_url, RECORDS_TIMEOUT_SECONDS, settings.tls.ca) as http,
        Sandbox(settings.corrections, LIMITS) as sandbox,
    ):
        attachments = Attachments(database)
        audit = AccessAudit(database, clock, READERS)
        ended = EndedSessions(redis, ENDED_SESSIONS, SENTENCES, clock)
        verifier = TokenVerifier(jwks_over_http(settings.tokens), settings.tokens, clock, ended.get)
        service = attachment_service(settings, database, bucket, http, attachments, audit)
        corrections = Corrections(Photos(sandbox), Images(sandbox), bucket, settings.rules, settings.corrections)
        dependencies = ApiDependencies(service, corrections, settings.rules)
        app = create_app(NAME, "附件", settings, verifier, router, dependencies)
        app.state.allowances[CORRECTIONS] = Allowance(
            settings.http.max_body_bytes, settings.http.timeout_seconds + UNMEASURED_SECONDS
        )
        app.state.quotas = Quotas(redis.limits, settings.quotas, QUOTAS)
        checks: dict[str, Check] = {
            "mongo": partial(mongo.ping, database),
            "bucket": bucket.prepare,
            "tokens": verifier.ready,
            "indexes": attachments.prepare,
            "indexes of the access log": audit.prepare,
        }
        yield Api(app, checks, [ended.follow])
