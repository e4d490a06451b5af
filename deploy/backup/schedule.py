"""Makes dumps when they are due, checks them, and removes older ones by the rule."""

import asyncio
from datetime import UTC, datetime, timedelta

from deploy.backup import metrics, storage
from deploy.backup.check import check
from deploy.backup.dump import Dumped, dump
from deploy.backup.files import Dump, Manifest, Unusable, all_dumps
from deploy.backup.retention import prune, remove_incomplete
from deploy.backup.settings import DumpSettings
from deploy.backup.storage import Storage
from kit.observability import log
from kit.runtime.process import run_tasks
from kit.runtime.tls import ServerCertificate

PAUSE_SECONDS = 30.0
RETRY = timedelta(minutes=15)
logger = log.get(__name__)


async def once(settings: DumpSettings, destination: Storage) -> Dumped:
    """Write a dump and read it back; then remove older ones. Raises `Unusable`.

    Only after a dump that was read back is any other removed. Of the objects it reads those that it copied.
    """
    await remove_incomplete(destination, settings.backup.key)
    written = await dump(settings, destination)
    await check(written.dump, only=written.copied)
    removed = await prune(destination, settings.backup.key, settings.backup.keep)
    logger.info(
        "backup written", dump=written.dump.name, bytes=written.manifest.size, seconds=written.manifest.seconds,
        documents=written.manifest.count, objects_copied=len(written.copied), dumps_removed=removed,
    )  # fmt: skip
    return written


async def serve(settings: DumpSettings) -> None:
    """Run until a signal."""
    async with storage.connect(settings.backup) as destination:
        certificate = ServerCertificate.of(settings.tls)
        tasks = [Schedule(settings, destination).run, *([certificate.follow] if certificate else [])]
        await run_tasks(tasks, {}, settings.internal, certificate)


class Schedule:
    """Makes a dump when the newest one is older than the time at which one was due; after a failure, it waits."""

    def __init__(self, settings: DumpSettings, destination: Storage) -> None:
        self._settings, self._destination = settings, destination
        self._not_before = datetime.min.replace(tzinfo=UTC)
        metrics.interval.set(settings.backup.every_hours * 3600)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self.step(datetime.now(UTC))
            await asyncio.sleep(PAUSE_SECONDS)

    async def step(self, now: datetime) -> None:
        """Make a dump if one is due."""
        try:
            newest = await newest_usable(self._destination, self._settings.backup.key)
            show(newest)
            due = newest is None or newest.began_at < self._settings.backup.due(now)
            if due and now >= self._not_before:
                show((await once(self._settings, self._destination)).manifest)
        except Exception:  # whatever it was: a later attempt may succeed, and BackupOverdue fires if none does
            logger.exception("backup failed")
            metrics.failures.inc()
            self._not_before = now + RETRY


async def newest_usable(destination: Storage, key: bytes) -> Manifest | None:
    """The newest complete dump with a genuine manifest."""
    complete = [name for name, ready in (await all_dumps(destination)).items() if ready]
    for name in reversed(complete):
        try:
            return await Dump(destination, name, key).manifest()
        except Unusable as error:
            logger.error("dump unusable", error=str(error))
    return None


def show(newest: Manifest | None) -> None:
    """Set the metrics."""
    metrics.last_success.set(newest.as_of.timestamp() if newest else 0)
    if newest:
        metrics.size.set(newest.size)
        metrics.duration.set(newest.seconds)
        metrics.documents.set(newest.count)
