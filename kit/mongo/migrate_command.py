"""The command `migrate` of a service: changes documents of earlier releases, and builds missing indexes."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import typer

from kit.core.errors import Unavailable
from kit.mongo.database import Database, connect
from kit.mongo.migrations import Migration, MigrationPolicy, Migrations
from kit.observability import log
from kit.runtime.health import Check
from kit.settings import ServiceSettings, read

S = TypeVar("S", bound=ServiceSettings)
Indexes = Callable[[Database], Sequence[Check]]
"""What creates the indexes of a database: readiness checks of the service's processes."""
RETRY_SECONDS = 2.0
logger = log.get(__name__)


def command(
    name: str, settings: type[S], migrations: Sequence[Migration], indexes: Indexes
) -> Callable[[bool, float], None]:
    """`python -m services.<name> migrate`. Changes first: a new index may need them. Nothing has a time limit."""

    def migrate(
        dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would change, and change nothing")] = False,
        share: Annotated[float, typer.Option(help="of the time to work in; the rest are pauses", min=0.01, max=1)] = (
            MigrationPolicy.share
        ),
    ) -> None:
        """Change documents of earlier releases and build missing indexes, while everything runs."""
        made = read(settings)
        log.configure(name, "migrate", made.log_level)
        asyncio.run(act(made, dry_run=dry_run, share=share))

    async def act(made: S, *, dry_run: bool, share: float) -> None:
        async with connect(made.mongo, name, patient=True) as database:
            runner = Migrations(database, migrations, MigrationPolicy(share=share))
            if dry_run:
                typer.echo("\n".join(map(str, await runner.pending())) or "nothing would change")
            else:
                await _until_done(runner, indexes(database))

    return migrate


async def _until_done(runner: Migrations, indexes: Sequence[Check]) -> None:
    """Run to the end, also when MongoDB is unavailable meanwhile."""
    while True:
        try:
            await runner.run()
            for prepare in indexes:
                await prepare()
            logger.info("migrated")
            return
        except Unavailable as error:
            logger.warning("interrupted, continuing", error=repr(error.__cause__ or error))
            await asyncio.sleep(RETRY_SECONDS)
