"""`python -m deploy.backup dump|run|schedule|list|check|prune|restore|files|key`."""

import asyncio
import os
import resource
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from deploy.backup import dump as dumping
from deploy.backup import retention, schedule, storage
from deploy.backup.check import check
from deploy.backup.encryption import Decryption, InvalidKey, new_identity
from deploy.backup.files import Dump, Unusable, all_dumps
from deploy.backup.restore import NotEmpty, put_objects, restore
from deploy.backup.settings import Destination, DestinationSettings, DumpSettings, RestoreSettings
from deploy.backup.storage import Storage
from kit.kafka import GroupInUse
from kit.mongo import PositionGone
from kit.observability import log
from kit.settings import read

T = TypeVar("T")
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Name = Annotated[str, typer.Argument(help="the dump's name, as `list` prints it; the newest complete one if empty")]
Identity = Annotated[Path, typer.Option(help="the file with the secret key, as `key` printed it")]
NICE = 10  # the services of the same machine come first
began = time.monotonic()


@app.command()
def dump() -> None:
    """Write a dump; everything may be running."""
    _made(dumping.dump)


@app.command()
def run() -> None:
    """Write a dump, check it, remove older ones by the rule: for a scheduler that starts commands."""
    _made(schedule.once)


def _made(work: Callable[[DumpSettings, Storage], Coroutine[None, None, dumping.Dumped]]) -> None:
    settings = read(DumpSettings)
    os.nice(NICE)
    written = _run(settings.backup, lambda destination: work(settings, destination))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    typer.echo(f"{written.dump.name} ({_seconds()}, {peak} MB of memory)")


@app.command("schedule")
def schedule_command() -> None:
    """Make dumps when they are due, until a signal; metrics are on the internal port."""
    settings = read(DumpSettings)
    os.nice(NICE)
    log.configure("backup", "schedule", settings.log_level)
    with _explained():
        asyncio.run(schedule.serve(settings))


@app.command("list")
def list_command() -> None:
    """List the dumps."""
    for name, complete in _run(read(DestinationSettings).backup, all_dumps).items():
        typer.echo(name if complete else f"{name} incomplete")


@app.command("check")
def check_command(
    name: Name = "", identity: Annotated[Path | None, typer.Option(help="decrypt and parse everything, too")] = None
) -> None:
    """Compare all digests of a dump; with an identity, read all of it."""
    settings = read(DestinationSettings)

    async def work(destination: Storage) -> str:
        found = await _dump(settings.backup, destination, name)
        checked = await check(found, Decryption(identity) if identity else None)
        return f"{found.name}: {checked.documents} documents in {checked.pieces} pieces, {checked.objects} objects"

    typer.echo(f"{_run(settings.backup, work)} ({_seconds()})")


@app.command()
def prune() -> None:
    """Remove dumps that the rule does not keep, and objects that no remaining dump names."""
    settings = read(DumpSettings).backup
    removed = _run(settings, lambda destination: retention.prune(destination, settings.key, settings.keep))
    typer.echo(f"removed {removed} dumps")


@app.command("restore")
def restore_command(identity: Identity, name: Name = "") -> None:
    """Restore a dump into empty databases while no service runs; the services publish what changed when they start."""
    settings = read(RestoreSettings)

    async def work(destination: Storage) -> str:
        report = await restore(settings, await _dump(settings.backup, destination, name), Decryption(identity))
        lost = [f"older than published: {service}/{each}" for service, many in report.lost.items() for each in many]
        return "\n".join([f"{report.documents} documents, {report.objects} objects ({_seconds()})", *lost])

    typer.echo(_run(settings.backup, work))


@app.command()
def files(identity: Identity, name: Name = "") -> None:
    """Restore objects that are missing in the buckets; everything may be running."""
    settings = read(RestoreSettings)

    async def work(destination: Storage) -> int:
        found = await _dump(settings.backup, destination, name)
        return await put_objects(settings, found, Decryption(identity))

    typer.echo(f"{_run(settings.backup, work)} objects")


@app.command()
def key() -> None:
    """Print a new identity, to be kept away from the system, and its public recipient for BACKUP__RECIPIENTS."""
    secret, recipient = new_identity()
    typer.echo(f"# recipient: {recipient}\n{secret}")


def _run(destination: Destination, work: Callable[[Storage], Coroutine[None, None, T]]) -> T:
    async def connected() -> T:
        async with storage.connect(destination) as connected_storage:
            return await work(connected_storage)

    with _explained():
        return asyncio.run(connected())


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except GroupInUse as error:
        raise typer.BadParameter(f"a member of {error} still runs: stop all services first") from error
    except PositionGone as error:
        raise typer.BadParameter(f"the oplog no longer reaches back to the dump's beginning: {error}") from error
    except (NotEmpty, Unusable, InvalidKey, OSError) as error:
        raise typer.BadParameter(str(error)) from error


async def _dump(settings: Destination, destination: Storage, name: str) -> Dump:
    if not name:
        complete = [each for each, ready in (await all_dumps(destination)).items() if ready]
        if not complete:
            raise Unusable("there is no complete dump")
        name = complete[-1]
    return Dump(destination, name, settings.key)


def _seconds() -> str:
    return f"{time.monotonic() - began:.1f} s"


if __name__ == "__main__":
    app()
