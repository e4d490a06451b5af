"""The one place where identity's concrete things meet."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer
from joserfc.jwk import KeySetSerialization, OKPKey

from kit import mongo
from kit.auth import TokenIssuer, TokenVerifier
from kit.cache import RedisServer
from kit.clock import Clock, SystemClock
from kit.consumer import Consumer
from kit.http import create_app
from kit.mongo import Database
from kit.process import Api, Service, Worker
from kit.publisher import Publisher
from kit.seal import Sealer
from services.identity.accounts import ROLES, AccountService
from services.identity.api import Services, router
from services.identity.captchas import Captchas
from services.identity.consumers import GROUP, TOPICS, handlers
from services.identity.login import LoginService
from services.identity.publications import PUBLICATIONS
from services.identity.service import IdentityService, Keys
from services.identity.sessions import Sessions
from services.identity.settings import Settings
from services.identity.store import Store

NAME = "identity"


@dataclass(frozen=True)
class Parts:
    """Everything that lives while a process runs."""

    database: Database
    redis: RedisServer
    store: Store
    services: Services


@asynccontextmanager
async def parts(settings: Settings, clock: Clock = SystemClock()) -> AsyncIterator[Parts]:
    """Open the servers and put the services together."""
    keys = Keys(Sealer(settings.seal), Sealer(settings.bus), settings.seal.index_key)
    signing = [OKPKey.import_key(dict(key)) for key in settings.signing.keys]
    async with mongo.connect(settings.mongo, NAME) as database, RedisServer(settings.redis, NAME) as redis:
        store = Store(database)
        issuer = TokenIssuer(signing, settings.tokens, clock, settings.signing.access_seconds)
        sessions = Sessions(store, redis.cache, issuer, settings.sessions, settings.codes.hmac_key, clock)
        captchas = Captchas(redis.cache, clock)
        login = LoginService(
            store, keys, captchas, sessions, redis.limits, settings.limits, settings.codes, clock
        )  # fmt: skip
        accounts = AccountService(store, keys.rest, sessions, issuer, redis.limits, clock)
        services = Services(
            IdentityService(store, keys, clock), captchas, login, sessions, accounts, issuer, clock
        )  # fmt: skip
        yield Parts(database, redis, store, services)


@asynccontextmanager
async def api(settings: Settings, clock: Clock = SystemClock()) -> AsyncIterator[Api]:
    """The HTTP API; it checks tokens with its own keys."""
    async with parts(settings, clock) as made:

        async def own_keys() -> KeySetSerialization:
            return made.services.issuer.public_keys()

        verifier = TokenVerifier(own_keys, settings.tokens, made.services.clock)
        app = create_app(NAME, "身份与登录", settings, verifier, router, made.services)
        ping = partial(mongo.ping, made.database)
        yield Api(app, {"mongo": ping, "redis": made.redis.cache.ping, "indexes": made.store.prepare})


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    """The publisher, and the consumer of deliveries."""
    async with parts(settings) as made:
        publisher = Publisher(NAME, made.database, PUBLICATIONS, settings.kafka, settings.instance)
        table = handlers(made.services.login)
        deliveries = Consumer(GROUP, TOPICS, table, settings.kafka, settings.instance)
        yield Worker(publisher, [deliveries], {"mongo": partial(mongo.ping, made.database)})


def staff(username: str, roles: Annotated[str, typer.Option(help=", ".join(ROLES))]) -> None:
    """Create or change a member of staff; standard input: {"password": …, "totp_secret": …}."""
    given = json.load(sys.stdin)
    wanted = roles.replace(",", " ").split()
    if not set(wanted) <= set(ROLES):
        raise typer.BadParameter(f"roles are {', '.join(ROLES)}")
    _run(lambda accounts: accounts.keep_staff(username, given["password"], given["totp_secret"], wanted))


def client(client_id: str, scopes: Annotated[str, typer.Option(help="separated by blanks")]) -> None:
    """Create or change an API client; standard input: {"client_secret": …}."""
    secret = json.load(sys.stdin)["client_secret"]
    _run(lambda accounts: accounts.keep_client(client_id, secret, scopes.split()))


def _run(action: Callable[[AccountService], Awaitable[None]]) -> None:
    async def act() -> None:
        async with parts(Settings()) as made:
            await action(made.services.accounts)

    asyncio.run(act())


SERVICE = Service(NAME, Settings, api, worker, {"staff": staff, "client": client})
