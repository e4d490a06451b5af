"""The objects of the worker process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from contracts.access import READERS
from kit import mongo
from kit.core.clock import SystemClock
from kit.files import blobs
from kit.files.sweeper import Sweeper
from kit.http.service_client import ClientCredentials, ServiceClient, http_client
from kit.imports.model import FOLDERS, ImportFiles, Imports
from kit.imports.worker import ImportWorker
from kit.messaging.groups import consumers, names
from kit.messaging.publisher import Publisher
from kit.mongo import migrations
from kit.mongo.removal import Purge, Removal, retention_rules
from kit.privacy.access_audit import AccessAudit
from kit.privacy.action_audit import KeyAudit, key_names
from kit.privacy.erasure import Erasure, confirmed_over_http
from kit.runtime.health import Check
from kit.runtime.process import Worker
from kit.security.encryption import Cipher
from services.records.consumers import GROUPS, Handlers
from services.records.imports import COLUMNS_BY_KIND, RecordImport
from services.records.kinds import KINDS
from services.records.people import SCOPE, People
from services.records.publications import PUBLICATIONS
from services.records.service import RecordService
from services.records.settings import Settings
from services.records.store import COLLECTION, COMPACTED, PERSONAL_DATA, Records
from services.records.wiring import NAME

OAUTH_PATH = "/api/identity/oauth/token"
IDENTITY_TIMEOUT_SECONDS = 10


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    """The publisher, the consumers, imports, and the removal of deleted records, old files and erased people."""
    clock = SystemClock()
    async with (
        mongo.connect(settings.mongo, NAME) as database,
        blobs.connect(settings.blobs) as bucket,
        http_client(settings.identity_url, IDENTITY_TIMEOUT_SECONDS, settings.tls.ca) as http,
    ):
        publisher = Publisher(NAME, database, PUBLICATIONS, settings.kafka, settings.instance)
        records, imports = Records(database), Imports(database)
        service = RecordService(records, AccessAudit(database, clock, READERS), clock)
        removal = Removal(database, clock, COMPACTED)
        confirmed = confirmed_over_http(settings.tokens)
        erasure = Erasure(database, PERSONAL_DATA, removal, names(GROUPS), settings.kafka, clock, confirmed=confirmed)
        handlers = Handlers(service, records, erasure)
        running = consumers(GROUPS, handlers, erasure.unless_erased, settings.kafka, settings.instance)
        people = People(ServiceClient("identity", http), ClientCredentials(http, OAUTH_PATH, settings.client, SCOPE))
        targets = {
            kind: RecordImport(KINDS[kind], records, people, clock, settings.sources) for kind in COLUMNS_BY_KIND
        }
        importer = ImportWorker(imports, ImportFiles(bucket, Cipher(settings.seal)), targets, settings.instance, clock)
        sweeper = Sweeper(FOLDERS, imports.with_folder_prefix, bucket, clock)
        purge = Purge(removal, retention_rules(settings.retention, COLLECTION, "deleted"), clock)
        keys = KeyAudit(database, clock, {"seal": key_names(settings.seal)})
        checks: dict[str, Check] = {
            "mongo": partial(mongo.ping, database), "indexes": erasure.prepare, "audit of keys": keys.prepare,
        }  # fmt: skip
        migrating = partial(migrations.report, database, NAME)
        yield Worker(publisher, running, checks, [erasure.run, purge.run, importer.run, sweeper.run, migrating])
