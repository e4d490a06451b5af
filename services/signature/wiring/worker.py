"""The objects of the worker process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from kit import mongo
from kit.core.clock import SystemClock
from kit.files import encrypted_bucket
from kit.files.encrypted_bucket import EncryptedBucket
from kit.files.sweeper import Sweeper
from kit.formats.sheets import SheetReader
from kit.messaging.groups import consumers, names
from kit.messaging.publisher import Publisher
from kit.mongo import Database, migrations
from kit.mongo.removal import Purge, Removal, retention_rules
from kit.privacy.action_audit import KeyAudit, key_names
from kit.privacy.erasure import Erasure, confirmed_over_http
from kit.runtime.health import Check
from kit.runtime.process import Worker
from kit.sandbox.pool import Limits, Sandbox
from kit.security.encryption import Cipher
from services.signature.checks import Checks
from services.signature.consumers import GROUPS, Handlers
from services.signature.domain import FOLDERS
from services.signature.people import KnownPeople
from services.signature.publications import PUBLICATIONS
from services.signature.settings import Settings
from services.signature.sheets.service import StaleSheets
from services.signature.store import COMPACTED, PERSONAL_DATA, SIGNATURES, Signatures, SignatureSheets
from services.signature.wiring import NAME


def _checks(settings: Settings, database: Database, bucket: EncryptedBucket, sandbox: Sandbox) -> Checks:
    return Checks(
        Signatures(database), SignatureSheets(database), KnownPeople(database), bucket, SheetReader(sandbox),
        settings.seal.index_key, settings.rules, SystemClock(),
    )  # fmt: skip


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    """The publisher, the consumers with the check of sheets, and the removal of old signatures and erased people."""
    async with (
        mongo.connect(settings.mongo, NAME) as database,
        encrypted_bucket.connect(settings.blobs, Cipher(settings.seal)) as bucket,
        Sandbox(1, Limits()) as sandbox,
    ):
        publisher = Publisher(NAME, database, PUBLICATIONS, settings.kafka, settings.instance)
        clock = SystemClock()
        stale_sheets = StaleSheets(SignatureSheets(database), KnownPeople(database), clock)
        removal = Removal(database, clock, COMPACTED)
        confirmed = confirmed_over_http(settings.tokens)
        erasure = Erasure(
            database, PERSONAL_DATA, removal, names(GROUPS), settings.kafka, clock, bucket, confirmed=confirmed
        )
        handlers = Handlers(stale_sheets, _checks(settings, database, bucket, sandbox), erasure)
        running = consumers(GROUPS, handlers, erasure.unless_erased, settings.kafka, settings.instance)
        sweeper = Sweeper(FOLDERS, Signatures(database).with_folder_prefix, bucket, clock)
        purge = Purge(removal, retention_rules(settings.retention, SIGNATURES, "replaced"), clock)
        keys = KeyAudit(database, clock, {"seal": key_names(settings.seal)})
        readiness: dict[str, Check] = {
            "mongo": partial(mongo.ping, database), "indexes": erasure.prepare, "audit of keys": keys.prepare,
        }  # fmt: skip
        migrating = partial(migrations.report, database, NAME)
        yield Worker(publisher, running, readiness, [sweeper.run, erasure.run, purge.run, migrating])
