"""The one place where notify's concrete things meet."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import get_args

from contracts.sessions import ENDED_SESSIONS, SENTENCES
from kit import mongo
from kit.core.clock import SystemClock
from kit.http.app import create_app
from kit.messaging.groups import consumers, names
from kit.messaging.publisher import Publisher
from kit.mongo import Database, Projection
from kit.mongo.removal import Purge, Removal, RetentionRule
from kit.privacy import reencryption
from kit.privacy.erasure import Erasure, confirmed_over_http
from kit.privacy.reencryption import EncryptedField
from kit.redis import RedisServer
from kit.runtime.health import Check
from kit.runtime.process import Api, Service, Worker
from kit.security import security_events
from kit.security.encryption import Cipher
from kit.security.ended_sessions import EndedSessions
from kit.security.tokens import TokenVerifier, jwks_over_http
from services.notify.api import ApiDependencies, router
from services.notify.consumers import GROUPS, Handlers
from services.notify.domain import State
from services.notify.envelopes import MessageCipher
from services.notify.providers import CarrierClient
from services.notify.providers.aliyun import Aliyun
from services.notify.providers.breaker import Breaker
from services.notify.providers.operators import Carrier, Carriers
from services.notify.providers.tencent import Tencent
from services.notify.publications import PUBLICATIONS
from services.notify.receipts import ReceiptAuthorization, Receipts
from services.notify.requests import Requests
from services.notify.sender import Sender
from services.notify.service import NotifyService
from services.notify.settings import AliyunSettings, CarrierSettings, Settings, TencentSettings
from services.notify.store import COMPACTED, CONTACTS, KEPT, MESSAGES, PERSONAL_DATA, Messages

NAME = "notify"


def accounts(settings: Settings) -> dict[str, CarrierSettings]:
    """The operators in use, in their order of preference."""
    known: Mapping[str, CarrierSettings | None] = {"tencent": settings.tencent, "aliyun": settings.aliyun}
    return {name: account for name in settings.order if (account := known[name])}


def _provider(account: CarrierSettings) -> CarrierClient:
    kinds: Mapping[type[CarrierSettings], Callable[..., CarrierClient]] = {
        TencentSettings: Tencent, AliyunSettings: Aliyun,
    }  # fmt: skip
    return kinds[type(account)](account)


def _operators(settings: Settings) -> Carriers:
    breaker = settings.breaker
    return Carriers(
        [
            Carrier(_provider(account), Breaker(breaker.open_seconds, breaker.slow_seconds, account.at_once))
            for account in accounts(settings).values()
        ]
    )


def sending(settings: Settings, database: Database) -> tuple[Requests, Sender]:
    """What a worker sends with."""
    messages, clock, operators = Messages(database), SystemClock(), _operators(settings)
    envelopes = MessageCipher(Cipher(settings.bus), Cipher(settings.seal))
    receipts = Receipts(messages, operators, envelopes, settings.receipts, clock)
    sender = Sender(messages, operators, receipts, envelopes, settings.sending, clock)
    contacts = Projection(database, CONTACTS)
    requests = Requests(
        messages, contacts, envelopes, receipts, sender.hand_over, settings.sending, settings.notices, clock
    )
    return requests, sender


def _services(settings: Settings, messages: Messages) -> ApiDependencies:
    clock, envelopes = SystemClock(), MessageCipher(Cipher(settings.bus), Cipher(settings.seal))
    receipts = Receipts(messages, Carriers([]), envelopes, settings.receipts, clock)
    authorizations = {name: ReceiptAuthorization(name, account) for name, account in accounts(settings).items()}
    return ApiDependencies(NotifyService(messages, settings.notices, clock), receipts, authorizations)


@asynccontextmanager
async def api(settings: Settings) -> AsyncIterator[Api]:
    """The HTTP API for operators: people who look, and companies that call back."""
    clock = SystemClock()
    async with mongo.connect(settings.mongo, NAME) as database, RedisServer(settings.redis, NAME) as redis:
        messages, ended = Messages(database), EndedSessions(redis, ENDED_SESSIONS, SENTENCES, clock)
        verifier = TokenVerifier(jwks_over_http(settings.tokens.jwks_url), settings.tokens, clock, ended.get)
        security_events.initialise("secret_wrong")
        app = create_app(NAME, "消息", settings, verifier, router, _services(settings, messages))
        checks: dict[str, Check] = {
            "mongo": partial(mongo.ping, database), "tokens": verifier.ready, "indexes": messages.prepare,
        }  # fmt: skip
        yield Api(app, checks, [ended.follow])


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    """The publisher, the consumers of requests, certificates, scans, signatures, erasures, the sender and the purge."""
    async with mongo.connect(settings.mongo, NAME) as database:
        publisher = Publisher(NAME, database, PUBLICATIONS, settings.kafka, settings.instance)
        requests, sender = sending(settings, database)
        removal = Removal(database, SystemClock(), COMPACTED)
        erasure = Erasure(
            database, PERSONAL_DATA, removal, names(GROUPS), settings.kafka, SystemClock(),
            confirmed=confirmed_over_http(settings.tokens.erased_url),
        )  # fmt: skip
        handlers = Handlers(requests, erasure)
        running = consumers(GROUPS, handlers, erasure.unless_erased, settings.kafka, settings.instance)
        checks: dict[str, Check] = {
            "mongo": partial(mongo.ping, database), "sender": sender.keeps_up, "indexes": erasure.prepare,
        }  # fmt: skip
        purge = Purge(removal, [RetentionRule(MESSAGES, state, KEPT) for state in get_args(State)], SystemClock())
        yield Worker(publisher, running, checks, [sender.run, erasure.run, purge.run])


def sealed(settings: Settings) -> list[EncryptedField]:
    """Where sealed texts stand."""
    rest = Cipher(settings.seal)
    return [
        EncryptedField(MESSAGES, "phone_sealed", rest, lambda document: f"phone:{document['_id']}"),
        EncryptedField(MESSAGES, "variables_sealed", rest, lambda document: f"variables:{document['_id']}"),
        EncryptedField(CONTACTS, "phone_sealed", rest, lambda document: f"contact:{document['_id']}"),
    ]


SERVICE = Service(NAME, Settings, api, worker, {"reseal": reencryption.command(NAME, Settings, sealed)})
