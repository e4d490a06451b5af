"""What the worker process runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from kit import mongo
from kit.files.sweeper import Sweeper
from kit.imports.model import FOLDERS
from kit.imports.worker import ImportWorker
from kit.messaging.groups import consumers, names
from kit.messaging.publisher import Publisher
from kit.mongo.removal import Removal
from kit.privacy.erasure import Erasure
from kit.runtime.health import Check
from kit.runtime.process import Worker
from services.identity.consumers import GROUPS, Handlers
from services.identity.practitioners.imports import KIND, PractitionerImport
from services.identity.practitioners.portrait_folders import PORTRAIT_FOLDERS
from services.identity.publications import PUBLICATIONS
from services.identity.settings import Settings
from services.identity.store import COMPACTED, PERSONAL_DATA
from services.identity.wiring import NAME
from services.identity.wiring.shared import Dependencies, parts


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    """The publisher, the consumers of deliveries, looks and erasures, who loads lists."""
    async with parts(settings) as made:
        publisher = Publisher(NAME, made.database, PUBLICATIONS, settings.kafka, settings.instance)
        erasure = _erasure(settings, made)
        handlers = Handlers(made.services.codes, made.services.accesses, erasure)
        running = consumers(GROUPS, handlers, erasure.unless_erased, settings.kafka, settings.instance)
        target, clock = PractitionerImport(made.services.identity, made.services.clock), made.services.clock
        importer = ImportWorker(made.imports, made.import_files, {KIND: target}, settings.instance, clock)
        sweepers = [
            Sweeper(FOLDERS, made.imports.in_folders, made.bucket, clock),
            Sweeper(PORTRAIT_FOLDERS, made.store.in_folders, made.bucket, clock),
        ]
        sweeping = [sweeper.run for sweeper in sweepers]
        checks: dict[str, Check] = {
            "mongo": partial(mongo.ping, made.database), "indexes": erasure.prepare,
            "clients": made.services.accounts.tell_clients,
        }  # fmt: skip
        yield Worker(publisher, running, checks, [importer.run, made.eraser.run, erasure.run, *sweeping])


def _erasure(settings: Settings, made: Dependencies) -> Erasure:
    clock = made.services.clock
    return Erasure(
        made.database,
        PERSONAL_DATA,
        Removal(made.database, clock, COMPACTED),
        names(GROUPS),
        settings.kafka,
        clock,
        made.bucket,
        confirmed=made.services.erasures.confirmed,
    )
