"""Dump all databases as of one moment, and the objects that their documents name."""

import time
from datetime import UTC, datetime
from pathlib import Path

from deploy.backup.files import MANIFEST, Manifest, Objects, Written, write_documents
from deploy.backup.plan import PLANS, Settings
from kit import mongo
from kit.files import blobs
from kit.mongo import Session, archive

Databases = dict[str, dict[str, Written]]


async def dump(settings: Settings, root: Path) -> Path:
    """Write a dump below `root`; everything may be running. Returns its folder.

    Objects are copied before and after the databases, so every object that a dumped document names is in the dump,
    unless it was deleted in between.
    """
    began, clock = datetime.now(UTC), time.monotonic()
    folder = root / f"{began:%Y-%m-%dT%H%M%S.%fZ}"
    folder.mkdir(parents=True, mode=0o700)
    await copy_objects(settings, root)
    databases = await _databases(settings, folder)
    objects = await copy_objects(settings, root)
    for service, keys in objects.items():
        (folder / f"{service}.keys").write_text("".join(f"{key}\n" for key in keys))
    manifest = Manifest(
        began_at=began, seconds=round(time.monotonic() - clock, 2), databases=databases,
        objects={service: len(keys) for service, keys in objects.items()},
    )  # fmt: skip
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1))
    return folder


async def _databases(settings: Settings, folder: Path) -> Databases:
    async with mongo.connect(settings.mongo, "backup") as database, archive.read_snapshot(database) as session:
        return {service: await _database(settings, folder, service, session) for service in PLANS}


async def _database(settings: Settings, folder: Path, service: str, session: Session) -> dict[str, Written]:
    """Read with the session's own client: a session works with no other."""
    database = session.client.get_database(service)
    names = set(await database.list_collection_names()) - set(PLANS[service].fleeting)
    return {
        name: await write_documents(
            folder / service / f"{name}.bson", archive.raw_documents(database, name, session)
        )
        for name in sorted(names) if not name.startswith("system.")
    }  # fmt: skip


async def copy_objects(settings: Settings, root: Path) -> dict[str, list[str]]:
    """Copy objects that are new or were rewritten since their copy. Returns the keys of all objects, by service."""
    found = dict[str, list[str]]()
    for service in (name for name, plan in PLANS.items() if plan.bucket):
        kept = Objects(root, service)
        async with blobs.connect(settings.bucket_of(service)) as bucket:
            objects = await bucket.written("")
            for key, written in objects.items():
                if not kept.has(key, written) and (content := await bucket.get(key)) is not None:
                    kept.keep(key, content, written)
            found[service] = list(objects)
    return {service: [key for key in keys if Objects(root, service).has(key)] for service, keys in found.items()}


def prune(root: Path, keep: int) -> int:
    """Remove incomplete dumps, all but the newest `keep`, and objects that none of these names. Returns how many dumps.

    An erased person is gone from the backups when the last dump that has them is removed.
    """
    dumps = sorted(path for path in root.iterdir() if path.is_dir() and path.name[:1].isdigit())
    complete = [path for path in dumps if (path / MANIFEST).exists()][-keep:]
    removed = [path for path in dumps if path not in complete]
    for path in removed:
        (path / MANIFEST).unlink(missing_ok=True)
        for file in sorted(path.rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()
        path.rmdir()
    for service in (name for name, plan in PLANS.items() if plan.bucket):
        kept, named = Objects(root, service), set[str]()
        for path in complete:
            named |= set((path / f"{service}.keys").read_text().splitlines())
        for key in kept.all():
            if key not in named:
                kept.drop(key)
    return len(removed)
