"""The command `python -m services.identity audit`: verifies and exports the audit trail."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import orjson
import typer
from joserfc.jwk import KeySetSerialization

from contracts.audit import HEAD_TYPE
from kit import mongo
from kit.core.audit import COMMAND
from kit.core.clock import SystemClock, rfc3339
from kit.privacy.action_audit import ActionAudit
from kit.security.statements import StatementReader, StatementSigner
from kit.settings import read
from services.identity.audit.domain import exported
from services.identity.audit.heads import HeadKeeper
from services.identity.audit.published_heads import published_heads
from services.identity.audit.store import TrailStore
from services.identity.audit.verification import SignedHead, WrongTrail, read_heads, verify
from services.identity.settings import Settings
from services.identity.wiring import NAME


class Subject(StrEnum):
    """What the command does."""

    VERIFY = "verify"
    EXPORT = "export"
    HEADS = "heads"
    KEYS = "keys"
    RESTORED = "restored"


File = Annotated[Path | None, typer.Option(exists=True, dir_okay=False)]


def audit(
    what: Annotated[
        Subject, typer.Argument(help="verify the trail; print entries (NDJSON), signed heads, public keys; restored")
    ],
    heads: File = None,
    keys: File = None,
    begin: Annotated[
        datetime | None, typer.Option("--from", help="export: recorded at this time (UTC) or later")
    ] = None,
    end: Annotated[datetime | None, typer.Option("--to", help="export: recorded before this time (UTC)")] = None,
) -> None:
    """Verify or export the audit trail (docs/security/audit.md).

    --heads: signed heads that an auditor kept, one a line; --keys: the public keys that an auditor kept. Without them
    verify uses the topic audit.heads and the installation's own keys. restored: after a restore, sign a head that
    replaces those of entries that the backup did not have.
    """
    settings = read(Settings)
    own = StatementSigner(settings.audit.keys, HEAD_TYPE).public_keys()
    if what is Subject.KEYS:
        typer.echo(json.dumps(own, indent=1))
    elif what is Subject.HEADS:
        typer.echo("\n".join(head.statement for head in asyncio.run(published_heads(settings.kafka))))
    elif what is Subject.EXPORT:
        asyncio.run(_export(settings, begin or datetime.min, end or datetime.max))
    elif what is Subject.RESTORED:
        asyncio.run(_replace_heads(settings))
    else:
        kept = heads.read_text().split() if heads else []
        _verify(settings, json.loads(keys.read_text()) if keys else own, kept)


async def _export(settings: Settings, begin: datetime, end: datetime) -> None:
    async with mongo.connect(settings.mongo, NAME) as database:
        await ActionAudit(database, SystemClock()).record("command", "run", COMMAND, NAME, command="audit export")
        async for batch in TrailStore(database).between(_text(begin), _text(end)):
            for entry in batch:
                typer.echo(orjson.dumps(exported(entry)))


async def _replace_heads(settings: Settings) -> None:
    async with mongo.connect(settings.mongo, NAME) as database:
        await ActionAudit(database, SystemClock()).record("command", "run", COMMAND, NAME, command="audit restored")
        head = await HeadKeeper(TrailStore(database), settings.audit, SystemClock()).replace_heads()
    typer.echo(f"head {head.number} was signed" if head else "every head is that of the trail: none was signed")


def _text(moment: datetime) -> str:
    return rfc3339(moment.replace(tzinfo=UTC))


def _verify(settings: Settings, keys: KeySetSerialization, kept: Sequence[str]) -> None:
    try:
        typer.echo(asyncio.run(_verified(settings, StatementReader(keys, HEAD_TYPE), kept)))
    except WrongTrail as error:
        typer.echo(f"WRONG: {error}", err=True)
        raise typer.Exit(1) from None


async def _verified(settings: Settings, reader: StatementReader, kept: Sequence[str]) -> str:
    published = read_heads(reader, [head.statement for head in await published_heads(settings.kafka)])
    _compare_kept(read_heads(reader, kept), published)
    async with mongo.connect(settings.mongo, NAME) as database:
        longest = timedelta(seconds=2 * settings.audit.head_seconds)
        return await verify(TrailStore(database), reader, published, datetime.now(UTC), longest)


def _compare_kept(kept: Sequence[SignedHead], published: Sequence[SignedHead]) -> None:
    known = {head.text for head in published}
    for head in kept:
        if head.text not in known:
            raise WrongTrail(f"head {head.number}, which the auditor kept, is not on the topic")
