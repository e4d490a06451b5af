"""The worker process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from kit import mongo
from kit.files.sweeper import Sweeper
from kit.imports.model import FOLDERS
from kit.imports.worker import ImportWorker
from kit.messaging.groups import consumers, names
from kit.messaging.publisher import Publisher
from kit.mongo import migrations
from kit.mongo.removal import Removal
from kit.privacy.action_audit import KeyAudit, key_name, key_names
from kit.privacy.erasure import Erasure
from kit.runtime.health import Check
from kit.runtime.process import Task, Worker
from services.identity.audit.heads import HeadKeeper
from services.identity.audit.service import AuditTrail
from services.identity.audit.store import TrailStore
from services.identity.consumers import GROUPS, Handlers
from services.identity.practitioners.imports import KIND, PractitionerImport
from services.identity.practitioners.portrait_folders import PORTRAIT_FOLDERS
from services.identity.publications import PUBLICATIONS
from services.identity.settings import Settings
from services.identity.store import COMPACTED, PERSONAL_DATA
from services.identity.wiring import NAME
from services.identity.wiring.shared import Dependencies, open_dependencies


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    """The publisher, the consumers, imports, the erasure of people, and the removal of orphaned objects."""
    async with open_dependencies(settings) as opened:
        publisher = Publisher(NAME, opened.database, PUBLICATIONS, settings.kafka, settings.instance)
        erasure = _erasure(settings, opened)
        trail, clock = TrailStore(opened.database), opened.services.clock
        handlers = Handlers(opened.services.codes, opened.services.accesses, erasure, AuditTrail(trail, clock))
        running = consumers(GROUPS, handlers, erasure.unless_erased, settings.kafka, settings.instance)
        target = PractitionerImport(opened.services.practitioners, clock)
        importer = ImportWorker(opened.imports, opened.import_files, {KIND: target}, settings.instance, clock)
        sweepers = [
            Sweeper(FOLDERS, opened.imports.with_folder_prefix, opened.bucket, clock),
            Sweeper(PORTRAIT_FOLDERS, opened.store.with_folder_prefix, opened.bucket, clock),
        ]
        sweeping = [sweeper.run for sweeper in sweepers]
        checks: dict[str, Check] = {
            "mongo": partial(mongo.ping, opened.database), "indexes": erasure.prepare,
            "clients": opened.services.accounts.publish_clients, "indexes of the audit trail": trail.prepare,
            "audit of keys": KeyAudit(opened.database, clock, _keys(settings)).prepare,
        }  # fmt: skip
        heads, migrating = HeadKeeper(trail, settings.audit, clock), partial(migrations.report, opened.database, NAME)
        tasks: list[Task] = [importer.run, opened.eraser.run, erasure.run, heads.run, *sweeping, migrating]
        yield Worker(publisher, running, checks, tasks)


def _keys(settings: Settings) -> dict[str, list[str]]:
    """All keys whose change is recorded, by ring."""
    pairs = {"signing": settings.signing.keys, "audit": settings.audit.keys}
    public = {ring: [key_name(key["kid"], key["x"].encode()) for key in keys] for ring, keys in pairs.items()}
    codes = {"codes": [key_name("hmac_key", settings.codes.hmac_key)]}
    return {"seal": key_names(settings.seal), "bus": key_names(settings.bus), **codes, **public}


def _erasure(settings: Settings, opened: Dependencies) -> Erasure:
    clock = opened.services.clock
    return Erasure(
        opened.database,
        PERSONAL_DATA,
        Removal(opened.database, clock, COMPACTED),
        names(GROUPS),
        settings.kafka,
        clock,
        opened.bucket,
        confirmed=opened.services.erasures.confirmed,
    )
