"""Which dumps are kept, and the removal of all others."""

from collections.abc import Callable, Iterable
from datetime import datetime

from deploy.backup.files import OBJECTS, Dump, Unusable, all_dumps, time_of
from deploy.backup.plan import WITH_BUCKET
from deploy.backup.settings import Keep
from deploy.backup.storage import Storage
from kit.core.clock import shanghai_date
from kit.observability import log

logger = log.get(__name__)


def kept(dumps: Iterable[str], rule: Keep) -> set[str]:
    """The dumps that the rule keeps: the newest of each period that has any, and always the newest of all."""
    newest_first = sorted(dumps, reverse=True)
    periods: list[tuple[int, Callable[[datetime], object]]] = [
        (rule.latest, lambda moment: moment),
        (rule.daily, shanghai_date),
        (rule.weekly, lambda moment: shanghai_date(moment).isocalendar()[:2]),
        (rule.monthly, lambda moment: (shanghai_date(moment).year, shanghai_date(moment).month)),
    ]
    found = set[str]()
    for count, period in periods:
        newest = dict[object, str]()
        for name in newest_first:
            newest.setdefault(period(time_of(name)), name)
        found |= set(list(newest.values())[:count])
    return found


async def remove_incomplete(storage: Storage, key: bytes) -> int:
    """Remove dumps that were not completed. Their objects stay: the next dump need not copy them again."""
    incomplete = [name for name, complete in (await all_dumps(storage)).items() if not complete]
    for name in incomplete:
        await Dump(storage, name, key).remove()
    return len(incomplete)


async def prune(storage: Storage, key: bytes, rule: Keep) -> int:
    """Remove dumps that the rule does not keep, and objects that no remaining dump names. Returns how many dumps.

    An erased person is gone from the backups when the last dump that has them is removed. If a remaining dump can't be
    read, no object is removed.
    """
    dumps = [name for name, complete in (await all_dumps(storage)).items() if complete]
    keep = kept(dumps, rule)
    removed = [name for name in dumps if name not in keep]
    for name in removed:
        await Dump(storage, name, key).remove()
    try:
        named = await _named([Dump(storage, name, key) for name in sorted(keep)])
    except Unusable as error:
        logger.error("objects not pruned", error=str(error))
        return len(removed)
    for service in WITH_BUCKET:
        for name in await storage.names(f"{OBJECTS}/{service}"):
            if name not in named:
                await storage.delete(name)
    return len(removed)


async def _named(dumps: Iterable[Dump]) -> set[str]:
    found = set[str]()
    for dump in dumps:
        manifest = await dump.manifest()
        for service in manifest.objects:
            found |= set(await dump.object_names(manifest, service))
    return found
