"""The objects of the worker process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from contracts.access import READERS
from kit import mongo
from kit.core.clock import SystemClock
from kit.files import encrypted_bucket
from kit.files.sweeper import Sweeper
from kit.formats import images
from kit.formats.images import Images
from kit.http.service_client import http_client
from kit.messaging.groups import consumers, names
from kit.messaging.publisher import Publisher
from kit.mongo import migrations
from kit.mongo.removal import Purge, Removal, retention_rules
from kit.privacy.access_audit import AccessAudit
from kit.privacy.action_audit import KeyAudit, key_names
from kit.privacy.erasure import Erasure, confirmed_over_http
from kit.runtime.health import Check
from kit.runtime.periodic import every
from kit.runtime.process import Worker
from kit.sandbox.pool import Limits, Sandbox
from kit.security.encryption import Cipher
from services.attachments import corrections
from services.attachments.checks import Checks
from services.attachments.consumers import GROUPS, Handlers
from services.attachments.domain import FOLDERS
from services.attachments.publications import PUBLICATIONS
from services.attachments.settings import Settings
from services.attachments.store import COLLECTION, COMPACTED, PERSONAL_DATA, Attachments
from services.attachments.wiring import NAME
from services.attachments.wiring.shared import RECORDS_TIMEOUT_SECONDS, attachment_service

LIMITS = Limits(cpu_seconds=3)  # the largest allowed image takes one second


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    """The publisher, the consumers with the check of scans, and the removal of deleted scans and erased people."""
    async with (
        mongo.connect(settings.mongo, NAME) as database,
        encrypted_bucket.connect(settings.blobs, Cipher(settings.seal)) as bucket,
        http_client(settings.records_url, RECORDS_TIMEOUT_SECONDS, settings.tls.ca) as http,
        Sandbox(settings.sandboxes, LIMITS, first=images.prepare) as sandbox,
    ):
        clock = SystemClock()
        attachments = Attachments(database)
        audit = AccessAudit(database, clock, READERS)
        publisher = Publisher(NAME, database, PUBLICATIONS, settings.kafka, settings.instance)
        checks = Checks(attachments, bucket, Images(sandbox), settings.rules, clock)
        removal = Removal(database, clock, COMPACTED)
        confirmed = confirmed_over_http(settings.tokens)
        erasure = Erasure(
            database, PERSONAL_DATA, removal, names(GROUPS), settings.kafka, clock, bucket, confirmed=confirmed
        )
        service = attachment_service(settings, database, bucket, http, attachments, audit)
        handlers = Handlers(service, checks, erasure)
        running = consumers(GROUPS, handlers, erasure.unless_erased, settings.kafka, settings.instance)
        sweeper = Sweeper(FOLDERS, attachments.with_folder_prefix, bucket, clock)
        cleaning = partial(
            every, corrections.CLEANING_SECONDS, partial(corrections.remove_old, bucket, clock), "cleaning"
        )
        purge = Purge(removal, retention_rules(settings.retention, COLLECTION, "deleted"), clock)
        keys = KeyAudit(database, clock, {"seal": key_names(settings.seal)})
        readiness: dict[str, Check] = {
            "mongo": partial(mongo.ping, database), "indexes": erasure.prepare, "audit of keys": keys.prepare,
        }  # fmt: skip
        migrating = partial(migrations.report, database, NAME)
        yield Worker(publisher, running, readiness, [sweeper.run, erasure.run, purge.run, migrating, cleaning])
