"""`python -m deploy.backup dump|restore|files|prune ROOT`."""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from deploy.backup import dump as dumping
from deploy.backup.files import ChecksumMismatch
from deploy.backup.plan import Settings
from deploy.backup.restore import NotEmpty, put_objects, restore
from kit.kafka import GroupInUse

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Root = Annotated[Path, typer.Argument(help="the folder of all dumps, encrypted, on the disk of another machine")]


@app.command()
def dump(root: Root) -> None:
    """Write a dump; everything may be running."""
    began = time.monotonic()
    folder = asyncio.run(dumping.dump(Settings(), root))
    typer.echo(f"{folder} ({time.monotonic() - began:.1f} s)")


@app.command("restore")
def restore_command(root: Root, dump: Annotated[Path, typer.Argument(help="the dump's folder")]) -> None:
    """Restore a dump into empty databases while no service runs; the services publish what changed when they start."""
    began = time.monotonic()
    try:
        report = asyncio.run(restore(Settings(), root, dump))
    except GroupInUse as error:
        raise typer.BadParameter(f"a member of {error} still runs: stop all services first") from error
    except (NotEmpty, ChecksumMismatch) as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(f"{report.documents} documents, {report.objects} objects ({time.monotonic() - began:.1f} s)")
    for service, documents in report.lost.items():
        for document in documents:
            typer.echo(f"older than published: {service}/{document}")


@app.command()
def files(root: Root, dump: Annotated[Path, typer.Argument(help="the dump's folder")]) -> None:
    """Restore objects that are missing in the buckets; everything may be running."""
    typer.echo(f"{asyncio.run(put_objects(Settings(), root, dump))} objects")


@app.command()
def prune(root: Root, keep: Annotated[int, typer.Option(min=1, help="how many dumps to keep")] = 14) -> None:
    """Remove older dumps, and objects that no remaining dump names."""
    typer.echo(f"removed {dumping.prune(root, keep)} dumps")


if __name__ == "__main__":
    app()
