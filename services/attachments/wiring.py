"""The one place where attachments' concrete things meet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx2

from contracts.access import READERS
from contracts.sessions import ENDED_SESSIONS, SENTENCES
from kit import mongo
from kit.core.clock import SystemClock
from kit.files import encrypted_bucket
from kit.files.encrypted_bucket import EncryptedBucket
from kit.files.sweeper import Sweeper
from kit.formats import images
from kit.formats.images import Images
from kit.http.app import create_app
from kit.http.quotas import Quotas
from kit.http.service_client import ServiceClient
from kit.messaging.groups import consumers, names
from kit.messaging.publisher import Publisher
from kit.mongo import Database
from kit.mongo.removal import Purge, Removal, retention_rules
from kit.privacy import reencryption
from kit.privacy.access_audit import AccessAudit
from kit.privacy.erasure import Erasure, confirmed_over_http
from kit.privacy.reencryption import EncryptedFiles
from kit.redis import RedisServer
from kit.runtime.health import Check
from kit.runtime.process import Api, Service, Worker
from kit.sandbox.pool import Limits, Sandbox
from kit.security.encryption import Cipher
from kit.security.ended_sessions import EndedSessions
from kit.security.tokens import TokenVerifier, jwks_over_http
from services.attachments.api import ApiDependencies, router
from services.attachments.checks import Checks
from services.attachments.consumers import GROUPS, Handlers
from services.attachments.domain import FOLDERS
from services.attachments.known_records import KnownRecords
from services.attachments.publications import PUBLICATIONS
from services.attachments.service import AttachmentService
from services.attachments.settings import Settings
from services.attachments.store import COLLECTION, COMPACTED, PERSONAL_DATA, Attachments

NAME = "attachments"
ASK_SECONDS = 5
LIMITS = Limits(cpu_seconds=3)  # the largest picture that is let in takes one


def _service(
    settings: Settings, database: Database, bucket: EncryptedBucket, http: httpx2.AsyncClient, attachments: Attachments,
    looks: AccessAudit,
) -> AttachmentService:  # fmt: skip
    known = KnownRecords.over(database, ServiceClient("records", http))
    most = settings.quotas.uploads_at_once
    return AttachmentService(attachments, known, bucket, looks, SystemClock(), most)


@asynccontextmanager
async def api(settings: Settings) -> AsyncIterator[Api]:
    """The HTTP API."""
    clock = SystemClock()
    async with (
        mongo.connect(settings.mongo, NAME) as database,
        encrypted_bucket.connect(settings.blobs, Cipher(settings.seal), settings.seal_files) as bucket,
        RedisServer(settings.redis, NAME) as redis,
        httpx2.AsyncClient(base_url=settings.records_url, timeout=ASK_SECONDS) as http,
    ):
        attachments, looks = Attachments(database), AccessAudit(database, clock, READERS)
        ended = EndedSessions(redis, ENDED_SESSIONS, SENTENCES, clock)
        verifier = TokenVerifier(jwks_over_http(settings.tokens.jwks_url), settings.tokens, clock, ended.get)
        dependencies = ApiDependencies(_service(settings, database, bucket, http, attachments, looks), settings.rules)
        app = create_app(NAME, "附件", settings, verifier, router, dependencies)
        app.state.quotas = Quotas(redis.limits, settings.quotas)
        indexes = {"indexes": attachments.prepare, "indexes of looks": looks.prepare}
        servers: dict[str, Check] = {
            "mongo": partial(mongo.ping, database),
            "bucket": bucket.prepare,
            "tokens": verifier.ready,
        }
        yield Api(app, servers | indexes, [ended.follow])


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    """The publisher, who listens to records, the check, erasures, the sweeper and the purge."""
    async with (
        mongo.connect(settings.mongo, NAME) as database,
        encrypted_bucket.connect(settings.blobs, Cipher(settings.seal)) as bucket,
        httpx2.AsyncClient(base_url=settings.records_url, timeout=ASK_SECONDS) as http,
        Sandbox(settings.sandboxes, LIMITS, first=images.prepare) as sandbox,
    ):
        clock = SystemClock()
        attachments, looks = Attachments(database), AccessAudit(database, clock, READERS)
        publisher = Publisher(NAME, database, PUBLICATIONS, settings.kafka, settings.instance)
        checks = Checks(attachments, bucket, Images(sandbox), settings.rules, clock)
        removal = Removal(database, clock, COMPACTED)
        confirmed = confirmed_over_http(settings.tokens.erased_url)
        erasure = Erasure(
            database, PERSONAL_DATA, removal, names(GROUPS), settings.kafka, clock, bucket, confirmed=confirmed
        )
        service = _service(settings, database, bucket, http, attachments, looks)
        handlers = Handlers(service, checks, erasure)
        running = consumers(GROUPS, handlers, erasure.unless_erased, settings.kafka, settings.instance)
        sweeper = Sweeper(FOLDERS, attachments.in_folders, bucket, clock)
        purge = Purge(removal, retention_rules(settings.retention, COLLECTION, "deleted"), clock)
        ready: dict[str, Check] = {"mongo": partial(mongo.ping, database), "indexes": erasure.prepare}
        yield Worker(publisher, running, ready, [sweeper.run, erasure.run, purge.run])


def files(settings: Settings) -> EncryptedFiles:
    """Where sealed files are."""
    return EncryptedFiles(COLLECTION, settings.blobs, Cipher(settings.seal))


SERVICE = Service(NAME, Settings, api, worker, {"reseal": reencryption.command(NAME, Settings, files=files)})
