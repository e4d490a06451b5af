"""The commands of `python -m services.identity` besides `api` and `worker`."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Annotated

import typer

from contracts.access import READERS
from contracts.scopes import SCOPES
from kit import mongo
from kit.core.audit import COMMAND
from kit.core.clock import SystemClock
from kit.core.errors import InvalidFields, NotFound
from kit.files import blobs
from kit.files.sweeper import SweeperPolicy
from kit.imports.model import Imports
from kit.mongo import Database, migrate_command
from kit.mongo.removal import Removal
from kit.observability import log
from kit.privacy import erasure, reencryption
from kit.privacy.access_audit import AccessAudit
from kit.privacy.action_audit import ActionAudit
from kit.runtime.health import Check
from kit.security import security_events
from kit.security.encryption import Cipher
from kit.settings import read
from services.identity import rotation
from services.identity.accounts.command_events import CommandEvents
from services.identity.accounts.domain import staff_id
from services.identity.accounts.service import MIN_SECRET_LENGTH
from services.identity.accounts.staff import ROLES, StaffAccounts
from services.identity.audit.store import TrailStore
from services.identity.migrations import MIGRATIONS
from services.identity.service import UseCases
from services.identity.settings import Settings
from services.identity.store import COMPACTED, PERSONAL_DATA, Store
from services.identity.wiring import NAME
from services.identity.wiring.audit import audit
from services.identity.wiring.shared import open_dependencies


def staff(
    username: str,
    roles: Annotated[str, typer.Option(help=", ".join(ROLES))] = "",
    disable: Annotated[bool, typer.Option("--disable", help="refuse log-in")] = False,
    enable: Annotated[bool, typer.Option("--enable", help="permit log-in again")] = False,
    reset: Annotated[
        bool, typer.Option("--reset", help="generate a temporary password and a TOTP secret, and print them")
    ] = False,
) -> None:
    """Create or change an account of staff, which ends its sessions. Needs exactly one of the options.

    With --roles, standard input contains {"password": …, "totp_secret": …}.
    """
    if sum((bool(roles), disable, enable, reset)) != 1:
        raise typer.BadParameter("give exactly one of --roles, --disable, --enable, --reset")
    if roles:
        _run("staff --roles", staff_id(username), _save_staff(username, roles.replace(",", " ").split()))
    elif reset:
        _run("staff --reset", staff_id(username), lambda services: _reset(services.staff, username))
    else:
        run = f"staff --{'enable' if enable else 'disable'}"
        _run(run, staff_id(username), lambda each: each.staff.switch(staff_id(username), COMMAND, enabled=enable))


def _save_staff(username: str, roles: list[str]) -> Callable[[UseCases], Awaitable[object]]:
    credentials = json.load(sys.stdin)
    if not set(roles) <= set(ROLES):
        raise typer.BadParameter(f"unknown role; roles are {', '.join(ROLES)}")
    return lambda services: services.staff.save(username, credentials["password"], credentials["totp_secret"], roles)


async def _reset(accounts: StaffAccounts, username: str) -> None:
    credentials = await accounts.replace_credentials(
        staff_id(username), COMMAND, password=True, totp=True, passkeys=True
    )
    typer.echo(json.dumps(asdict(credentials), default=str))


def client(
    client_id: str,
    scopes: Annotated[str, typer.Option(help="separated by blanks")] = "",
    disable: Annotated[bool, typer.Option("--disable", help="refuse tokens, and stop its webhooks")] = False,
    enable: Annotated[bool, typer.Option("--enable", help="issue tokens again, and resume its webhooks")] = False,
    grace_hours: Annotated[float, typer.Option(help="how long a replaced secret stays valid", min=0)] = 24,
) -> None:
    """Create or change an API client, or replace its secret. Needs exactly one of --scopes, --disable, --enable.

    With --scopes, standard input contains {"client_secret": …}.
    """
    if sum((bool(scopes), disable, enable)) != 1:
        raise typer.BadParameter("give exactly one of --scopes, --disable, --enable")
    if scopes:
        _run("client --scopes", client_id, _save_client(client_id, scopes, timedelta(hours=grace_hours)))
    else:
        run = f"client --{'enable' if enable else 'disable'}"
        _run(run, client_id, lambda services: services.accounts.switch_client(client_id, enabled=enable))


def _save_client(client_id: str, scopes: str, grace: timedelta) -> Callable[[UseCases], Awaitable[object]]:
    if unknown := set(scopes.split()) - SCOPES.keys():
        raise typer.BadParameter(f"unknown scope {', '.join(sorted(unknown))}; scopes are {', '.join(SCOPES)}")
    secret = json.load(sys.stdin)["client_secret"]
    if len(secret) < MIN_SECRET_LENGTH:
        raise typer.BadParameter(f"a client secret must have at least {MIN_SECRET_LENGTH} random characters")
    return lambda services: services.accounts.save_client(client_id, secret, scopes.split(), grace)


def _run(command: str, about: str, action: Callable[[UseCases], Awaitable[object]]) -> None:
    """Run a command about an account; an entry of the audit trail is stored before."""
    settings = read(Settings)
    log.configure(NAME, COMMAND, settings.log_level)
    security_events.identified(COMMAND)

    async def act() -> None:
        async with open_dependencies(settings) as opened:
            await ActionAudit(opened.database, SystemClock()).record("command", "run", COMMAND, about, command=command)
            with security_events.collected() as events:
                try:
                    await action(opened.services)
                finally:
                    await CommandEvents(opened.database).store(events)

    try:
        asyncio.run(act())
    except InvalidFields as error:
        raise typer.BadParameter("; ".join(f"{each.field}: {each.code}" for each in error.fields)) from None
    except NotFound:
        raise typer.BadParameter("no such account") from None


def reseal() -> None:
    """Re-encrypt everything with the current keys, after which the other keys can be removed."""
    settings = read(Settings)
    log.configure(NAME, "reseal", settings.log_level)

    async def act() -> None:
        rest, bus = Cipher(settings.seal), Cipher(settings.bus)
        async with mongo.connect(settings.mongo, NAME) as database, blobs.connect(settings.blobs) as bucket:
            await ActionAudit(database, SystemClock()).record("command", "run", COMMAND, NAME, command="reseal")
            await reencryption.reencrypt(database, rotation.encrypted_fields(rest, bus))
            while await rotation.reencrypt_portraits(database, bucket, rest):
                continue
            await rotation.remove_orphans(database, bucket, SystemClock().now() - SweeperPolicy().grace)

    asyncio.run(act())


def indexes(database: Database) -> Sequence[Check]:
    """What creates the indexes of all collections."""
    clock = SystemClock()
    return [
        Store(database).prepare,
        Imports(database).prepare,
        AccessAudit(database, clock, READERS).prepare,
        ActionAudit(database, clock).prepare,
        TrailStore(database).prepare,
        partial(erasure.create_indexes, database, PERSONAL_DATA, Removal(database, clock, COMPACTED)),
    ]


COMMANDS = {
    "staff": staff,
    "client": client,
    "reseal": reseal,
    "audit": audit,
    "migrate": migrate_command.command(NAME, Settings, MIGRATIONS, indexes),
}
