"""The one place where signature's concrete things meet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx2

from contracts.access import READERS
from contracts.sessions import ENDED_SESSIONS, SENTENCES
from kit import mongo
from kit.core.clock import Clock, SystemClock
from kit.files import encrypted_bucket
from kit.files.encrypted_bucket import EncryptedBucket
from kit.files.sweeper import Sweeper
from kit.formats.sheets import SheetReader
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
from kit.privacy.reencryption import EncryptedField, EncryptedFiles
from kit.redis import RedisServer
from kit.runtime.health import Check
from kit.runtime.process import Api, Service, Worker
from kit.sandbox.pool import Limits, Sandbox
from kit.security.encryption import Cipher
from kit.security.ended_sessions import EndedSessions
from kit.security.tokens import TokenVerifier, jwks_over_http
from services.signature.api import ApiDependencies, router
from services.signature.checks import Checks
from services.signature.consumers import GROUPS, Handlers
from services.signature.domain import FOLDERS
from services.signature.form.printing import Printing
from services.signature.form.service import SheetService, StaleSheets
from services.signature.people import KnownPeople
from services.signature.publications import PUBLICATIONS
from services.signature.service import SignatureService
from services.signature.settings import Settings
from services.signature.store import COMPACTED, FORMS, PERSONAL_DATA, SIGNATURES, Signatures, SignatureSheets

NAME = "signature"
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


def _checks(settings: Settings, database: Database, bucket: EncryptedBucket, sandbox: Sandbox) -> Checks:
    return Checks(
        Signatures(database), SignatureSheets(database), KnownPeople(database), bucket, SheetReader(sandbox),
        settings.seal.index_key, settings.rules, SystemClock(),
    )  # fmt: skip


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    """The publisher, who listens to identity, the check, erasures, the sweeper and the purge."""
    async with (
        mongo.connect(settings.mongo, NAME) as database,
        encrypted_bucket.connect(settings.blobs, Cipher(settings.seal)) as bucket,
        Sandbox(1, Limits()) as sandbox,
    ):
        publisher = Publisher(NAME, database, PUBLICATIONS, settings.kafka, settings.instance)
        clock = SystemClock()
        outdating = StaleSheets(SignatureSheets(database), KnownPeople(database), clock)
        removal = Removal(database, clock, COMPACTED)
        confirmed = confirmed_over_http(settings.tokens.erased_url)
        erasure = Erasure(
            database, PERSONAL_DATA, removal, names(GROUPS), settings.kafka, clock, bucket, confirmed=confirmed
        )
        handlers = Handlers(outdating, _checks(settings, database, bucket, sandbox), erasure)
        running = consumers(GROUPS, handlers, erasure.unless_erased, settings.kafka, settings.instance)
        sweeper = Sweeper(FOLDERS, Signatures(database).in_folders, bucket, clock)
        purge = Purge(removal, retention_rules(settings.retention, SIGNATURES, "replaced"), clock)
        ready: dict[str, Check] = {"mongo": partial(mongo.ping, database), "indexes": erasure.prepare}
        yield Worker(publisher, running, ready, [sweeper.run, erasure.run, purge.run])


def sealed(settings: Settings) -> list[EncryptedField]:
    """Where sealed texts stand."""
    rest = Cipher(settings.seal)
    return [EncryptedField(FORMS, "number_sealed", rest, lambda document: f"document_number:{document['_id']}")]


def files(settings: Settings) -> EncryptedFiles:
    """Where sealed files are."""
    return EncryptedFiles(SIGNATURES, settings.blobs, Cipher(settings.seal))


SERVICE = Service(NAME, Settings, api, worker, {"reseal": reencryption.command(NAME, Settings, sealed, files)})
