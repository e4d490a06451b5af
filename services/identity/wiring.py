"""The one place where identity's concrete things meet."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from typing import Annotated

import typer
from joserfc.jwk import KeySetSerialization, OKPKey

from contracts.access import READERS
from contracts.scopes import SCOPES
from contracts.sessions import ENDED_SESSIONS, SENTENCES
from kit import mongo
from kit.core.clock import Clock, SystemClock
from kit.core.errors import InvalidFields, NotFound
from kit.files import blobs
from kit.files.blobs import Bucket
from kit.files.sweeper import Sweeper, SweeperPolicy
from kit.formats import tabular
from kit.formats.images import Images
from kit.formats.tabular import Tables
from kit.http.app import create_app
from kit.imports.model import FOLDERS, ImportFiles, Imports
from kit.imports.routes import ImportDependencies, add_imports
from kit.imports.worker import ImportWorker
from kit.messaging.groups import consumers, names
from kit.messaging.publisher import Publisher
from kit.mongo import Database
from kit.mongo.removal import Removal
from kit.observability import log
from kit.privacy import reencryption
from kit.privacy.access_audit import AccessAudit
from kit.privacy.erasure import Erasure
from kit.redis import RedisServer
from kit.runtime.health import Check
from kit.runtime.process import Api, Service, Worker
from kit.sandbox.pool import Sandbox
from kit.security import security_events
from kit.security.encryption import Cipher
from kit.security.ended_sessions import EndedSessions
from kit.security.tokens import TokenIssuer, TokenVerifier
from kit.settings import read
from services.identity import rotation
from services.identity.accounts import api as accounts_api
from services.identity.accounts.command_events import COMMAND, CommandEvents
from services.identity.accounts.domain import staff_id
from services.identity.accounts.passwords import Passwords
from services.identity.accounts.service import MIN_SECRET_LENGTH, AccountService
from services.identity.accounts.staff import ROLES, StaffAccounts
from services.identity.api import ApiDependencies, router
from services.identity.captcha import api as captcha_api
from services.identity.captcha.service import Captchas
from services.identity.certificates import api as certificates_api
from services.identity.certificates.phones import Phones
from services.identity.certificates.rebindings import Rebindings
from services.identity.certificates.service import Certificates
from services.identity.consumers import GROUPS, Handlers
from services.identity.erasures import api as erasures_api
from services.identity.erasures.eraser import Eraser
from services.identity.erasures.service import Erasures
from services.identity.keys import Keys
from services.identity.login import api as login_api
from services.identity.login.codes import Codes
from services.identity.login.devices import Devices
from services.identity.login.proofs import Proofs
from services.identity.login.service import LoginService
from services.identity.login.sessions import Sessions
from services.identity.practitioners import api as practitioners_api
from services.identity.practitioners.access_log import AccessLog
from services.identity.practitioners.imports import KIND, PractitionerImport
from services.identity.practitioners.lookups import Lookups
from services.identity.practitioners.portrait_folders import PORTRAIT_FOLDERS
from services.identity.practitioners.portraits import Portraits
from services.identity.practitioners.service import IdentityService
from services.identity.publications import PUBLICATIONS
from services.identity.settings import Settings
from services.identity.store import COMPACTED, PERSONAL_DATA, Store
from services.identity.throttle import LoginDelays, Throttle

NAME = "identity"
ROUTERS = (
    captcha_api.router, login_api.router, practitioners_api.router, accounts_api.router, erasures_api.router,
    certificates_api.router,
)  # fmt: skip


@dataclass(frozen=True)
class Dependencies:
    """Everything that lives while a process runs."""

    database: Database
    redis: RedisServer
    bucket: Bucket
    store: Store
    looks: AccessAudit
    imports: Imports
    import_files: ImportFiles
    ended: EndedSessions
    eraser: Eraser
    services: ApiDependencies


@asynccontextmanager
async def parts(settings: Settings, clock: Clock = SystemClock()) -> AsyncIterator[Dependencies]:
    """Open the servers and put the services together."""
    keys = Keys(Cipher(settings.seal), Cipher(settings.bus), settings.seal.index_key)
    signing = [OKPKey.import_key(dict(key)) for key in settings.signing.keys]
    async with (
        mongo.connect(settings.mongo, NAME) as database,
        RedisServer(settings.redis, NAME) as redis,
        blobs.connect(settings.blobs) as bucket,
        Sandbox() as sandbox,
    ):
        store = Store(database)
        issuer = TokenIssuer(signing, settings.tokens, clock, settings.signing.access_seconds)
        ended = EndedSessions(redis, ENDED_SESSIONS, SENTENCES, clock)
        devices = Devices(store, settings.codes.hmac_key, settings.sessions.device_days, clock)
        sessions = Sessions(
            store, issuer, ended, settings.sessions, settings.tokens.fresh_seconds, settings.codes.hmac_key, clock,
            devices,
        )  # fmt: skip
        looks, throttle = AccessAudit(database, clock, READERS), Throttle(redis.limits, settings.limits)
        captchas = Captchas(redis.cache, settings.captchas, clock)
        codes = Codes(store, keys, throttle, settings.codes, clock)
        login = LoginService(store, keys, captchas, codes, sessions, devices, throttle)
        delays, passwords = LoginDelays(redis.cache, clock), Passwords()
        accounts = AccountService(
            store, keys.rest, sessions, issuer, passwords, throttle, delays, settings.codes.hmac_key, clock
        )  # fmt: skip
        staff = StaffAccounts(store, keys.rest, sessions, passwords, accounts.proved, clock)
        portraits = Portraits(bucket, Images(sandbox), keys.rest)
        lookups = Lookups(store, keys, looks, throttle, settings.own_clients)
        identity = IdentityService(store, keys, portraits, looks, lookups, clock)
        accesses = AccessLog(store, looks)
        proofs = Proofs(store, keys, codes, sessions, throttle)
        phones = Phones(store, keys, looks)
        rebindings = Rebindings(store, phones, looks, sessions, throttle, settings.rebinding, clock)
        certificates = Certificates(store, phones, codes, rebindings, looks, sessions, throttle, clock)
        erasures = Erasures(store, looks, settings.erasures, clock)
        eraser = Eraser(store, keys, sessions, settings.erasures, clock)
        services = ApiDependencies(
            identity, lookups, certificates, rebindings, codes, captchas, login, sessions, proofs, accounts, staff,
            accesses, erasures, throttle, issuer, clock,
        )  # fmt: skip
        imports, import_files = Imports(database), ImportFiles(bucket, keys.rest)
        yield Dependencies(database, redis, bucket, store, looks, imports, import_files, ended, eraser, services)


@asynccontextmanager
async def api(settings: Settings, clock: Clock = SystemClock()) -> AsyncIterator[Api]:
    """The HTTP API; it checks tokens with its own keys."""
    async with parts(settings, clock) as made, Sandbox(limits=tabular.LIMITS) as sandbox:

        async def own_keys() -> KeySetSerialization:
            return made.services.issuer.public_keys()

        verifier = TokenVerifier(own_keys, settings.tokens, made.services.clock, made.ended.get)
        app = create_app(NAME, "身份与登录", settings, verifier, router, made.services)
        for each in ROUTERS:
            app.include_router(each)
        columns = {KIND: PractitionerImport.columns}
        dependencies = ImportDependencies(columns, "", made.imports, made.import_files, Tables(sandbox), clock)
        add_imports(app, f"/api/{NAME}", dependencies)
        ping = partial(mongo.ping, made.database)
        indexes = {
            "indexes": made.store.prepare,
            "indexes of looks": made.looks.prepare,
            "indexes of imports": made.imports.prepare,
        }
        servers: dict[str, Check] = {"mongo": ping, "redis": made.redis.cache.ping, "bucket": made.bucket.prepare}
        yield Api(
            app,
            servers | indexes,
            [made.ended.follow, made.services.sessions.tell_again, CommandEvents(made.database).run],
        )


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


def staff(
    username: str,
    roles: Annotated[str, typer.Option(help=", ".join(ROLES))] = "",
    disable: Annotated[bool, typer.Option("--disable", help="let them log in no more")] = False,
    enable: Annotated[bool, typer.Option("--enable", help="let them log in again")] = False,
    reset: Annotated[
        bool, typer.Option("--reset", help="make another password and TOTP secret, and print them")
    ] = False,
) -> None:
    """Create or change a member of staff, which ends their sessions: by --roles, or one of the other options.

    With --roles standard input holds {"password": …, "totp_secret": …}.
    """
    if sum((bool(roles), disable, enable, reset)) != 1:
        raise typer.BadParameter("say one of --roles, --disable, --enable, --reset")
    if roles:
        _run(_kept(username, roles.replace(",", " ").split()))
    elif reset:
        _run(lambda services: _reset(services.staff, username))
    else:
        _run(lambda services: services.staff.switch(staff_id(username), COMMAND, enabled=enable))


def _kept(username: str, roles: list[str]) -> Callable[[ApiDependencies], Awaitable[object]]:
    given = json.load(sys.stdin)
    if not set(roles) <= set(ROLES):
        raise typer.BadParameter(f"roles are {', '.join(ROLES)}")
    return lambda services: services.staff.keep(username, given["password"], given["totp_secret"], roles)


async def _reset(accounts: StaffAccounts, username: str) -> None:
    made = await accounts.make(staff_id(username), COMMAND, password=True, totp=True)
    typer.echo(json.dumps(asdict(made), default=str))


def client(
    client_id: str,
    scopes: Annotated[str, typer.Option(help="separated by blanks")] = "",
    disable: Annotated[bool, typer.Option("--disable", help="give it tokens no more, and stop its webhooks")] = False,
    enable: Annotated[bool, typer.Option("--enable", help="the contrary")] = False,
    grace_hours: Annotated[float, typer.Option(help="how long a secret that is replaced works on", min=0)] = 24,
) -> None:
    """Create or change an API client, or replace its secret: by --scopes, or else one of --disable, --enable.

    With --scopes standard input holds {"client_secret": …}.
    """
    if sum((bool(scopes), disable, enable)) != 1:
        raise typer.BadParameter("say one of --scopes, --disable, --enable")
    if scopes:
        _run(_kept_client(client_id, scopes, timedelta(hours=grace_hours)))
    else:
        _run(lambda services: services.accounts.switch_client(client_id, enabled=enable))


def _kept_client(client_id: str, scopes: str, grace: timedelta) -> Callable[[ApiDependencies], Awaitable[object]]:
    if unknown := set(scopes.split()) - SCOPES.keys():
        raise typer.BadParameter(f"there is no scope {', '.join(sorted(unknown))}; scopes are {', '.join(SCOPES)}")
    secret = json.load(sys.stdin)["client_secret"]
    if len(secret) < MIN_SECRET_LENGTH:
        raise typer.BadParameter(f"a client secret has at least {MIN_SECRET_LENGTH} characters, made at random")
    return lambda services: services.accounts.keep_client(client_id, secret, scopes.split(), grace)


def _run(action: Callable[[ApiDependencies], Awaitable[object]]) -> None:
    settings = read(Settings)
    log.configure(NAME, COMMAND, settings.log_level)
    security_events.identified(COMMAND)

    async def act() -> None:
        async with parts(settings) as made:
            with security_events.collected() as events:
                try:
                    await action(made.services)
                finally:
                    await CommandEvents(made.database).leave(events)

    try:
        asyncio.run(act())
    except InvalidFields as error:
        raise typer.BadParameter("; ".join(f"{each.field}: {each.code}" for each in error.fields)) from None
    except NotFound:
        raise typer.BadParameter("no such account") from None


def reseal() -> None:
    """Seal with the current keys what was sealed with others: those can be taken out then."""
    settings = read(Settings)
    log.configure(NAME, "reseal", settings.log_level)

    async def act() -> None:
        rest, bus = Cipher(settings.seal), Cipher(settings.bus)
        async with mongo.connect(settings.mongo, NAME) as database, blobs.connect(settings.blobs) as bucket:
            await reencryption.reencrypt(database, rotation.sealed(rest, bus))
            while await rotation.renew_portraits(database, bucket, rest):
                continue
            await rotation.remove_orphans(database, bucket, SystemClock().now() - SweeperPolicy().grace)

    asyncio.run(act())


SERVICE = Service(NAME, Settings, api, worker, {"staff": staff, "client": client, "reseal": reseal})
