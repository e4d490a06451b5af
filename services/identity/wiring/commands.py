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
from services.identity.accounts.staff import ROLES
from services.identity.approvals.service import Approvals, Wish
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
    reason: Annotated[str, typer.Option(help="for the admin who approves it")] = "",
    emergency: Annotated[
        bool, typer.Option("--emergency", help="without approval; needs --reason, and fires an alert")
    ] = False,
) -> None:
    """Create or change an account of staff, which ends its sessions. Needs one of the first four options.

    With --roles, standard input contains {"password": …, "totp_secret": …}. An admin approves --roles, and --enable and
    --reset of an admin, on the page 账号审批; the first admin of an installation is created at once.
    """
    if sum((bool(roles), disable, enable, reset)) != 1:
        raise typer.BadParameter("give exactly one of --roles, --disable, --enable, --reset")
    if emergency and not reason:
        raise typer.BadParameter("--emergency needs --reason")
    account = staff_id(username)
    if roles:
        _run("staff --roles", account, _save_staff(username, roles.replace(",", " ").split(), reason, emergency))
    elif reset:
        _run("staff --reset", account, lambda each: _reset(each, Wish("reset", username, (), reason), emergency))
    elif enable:
        _run("staff --enable", account, lambda each: _enable(each, Wish("enable", username, (), reason), emergency))
    else:
        _run("staff --disable", account, lambda each: each.staff.switch(account, COMMAND, enabled=False))


def _save_staff(
    username: str, roles: list[str], reason: str, emergency: bool
) -> Callable[[UseCases], Awaitable[object]]:
    given = json.load(sys.stdin)
    if not set(roles) <= set(ROLES):
        raise typer.BadParameter(f"unknown role; roles are {', '.join(ROLES)}")

    async def save(services: UseCases) -> None:
        accounts, credentials = services.staff, (given["password"], given["totp_secret"])
        if await accounts.is_unchanged(username, *credentials, roles):
            return
        wish = Wish("save", username, roles, reason, *await accounts.protected(username, *credentials))
        first = not emergency and await services.approvals.is_first_admin(username, roles)
        if first or await _may_proceed(services.approvals, wish, emergency):
            await accounts.save(username, *credentials, roles)

    return save


async def _may_proceed(approvals: Approvals, wish: Wish, emergency: bool) -> bool:
    """Whether the command is carried out now; otherwise an admin is asked, and the request is printed."""
    if emergency:
        await approvals.bypass(wish)
        return True
    if wish.asked != "save" and not await approvals.concerns_admin(wish.username):
        return True
    asked = await approvals.request_by_command(wish)
    typer.echo(json.dumps({"approval_id": asked.id, "state": asked.state, "expires_at": asked.expires_at.isoformat()}))
    return False


async def _enable(services: UseCases, wish: Wish, emergency: bool) -> None:
    if await _may_proceed(services.approvals, wish, emergency):
        await services.staff.switch(staff_id(wish.username), COMMAND, enabled=True)


async def _reset(services: UseCases, wish: Wish, emergency: bool) -> None:
    if await _may_proceed(services.approvals, wish, emergency):
        credentials = await services.staff.replace_credentials(
            staff_id(wish.username), COMMAND, password=True, totp=True, passkeys=True
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
