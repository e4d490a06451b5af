"""The objects of the worker process."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import get_args

from kit import mongo
from kit.core.clock import SystemClock
from kit.messaging.groups import consumers, names
from kit.messaging.publisher import Publisher
from kit.mongo import Database, Projection, migrations
from kit.mongo.removal import Purge, Removal, RetentionRule
from kit.privacy.action_audit import KeyAudit, key_names
from kit.privacy.erasure import Erasure, confirmed_over_http
from kit.runtime.health import Check
from kit.runtime.process import Worker
from kit.security.encryption import Cipher
from services.notify.consumers import GROUPS, Handlers
from services.notify.domain import State
from services.notify.encryption import MessageCipher
from services.notify.providers.aliyun import Aliyun
from services.notify.providers.breaker import Breaker
from services.notify.providers.carriers import Carrier, Carriers
from services.notify.providers.sdk_client import CarrierClient
from services.notify.providers.tencent import Tencent
from services.notify.publications import PUBLICATIONS
from services.notify.receipts import Receipts
from services.notify.requests import Requests
from services.notify.sender import Sender
from services.notify.settings import AliyunSettings, CarrierSettings, Settings, TencentSettings
from services.notify.store import COMPACTED, CONTACTS, KEPT, MESSAGES, PERSONAL_DATA, Messages
from services.notify.wiring import NAME
from services.notify.wiring.shared import accounts


def _client(account: CarrierSettings) -> CarrierClient:
    clients: Mapping[type[CarrierSettings], Callable[..., CarrierClient]] = {
        TencentSettings: Tencent, AliyunSettings: Aliyun,
    }  # fmt: skip
    return clients[type(account)](account)


def _carriers(settings: Settings) -> Carriers:
    breaker = settings.breaker
    return Carriers(
        [
            Carrier(_client(account), Breaker(breaker.open_seconds, breaker.slow_seconds, account.at_once))
            for account in accounts(settings).values()
        ]
    )


def sending(settings: Settings, database: Database) -> tuple[Requests, Sender]:
    """The objects with which a worker sends messages."""
    messages = Messages(database)
    clock = SystemClock()
    carriers = _carriers(settings)
    cipher = MessageCipher(Cipher(settings.bus), Cipher(settings.seal))
    receipts = Receipts(messages, carriers, cipher, settings.receipts, clock)
    contacts = Projection(database, CONTACTS)
    sender = Sender(messages, contacts, carriers, receipts, cipher, settings.sending, clock)
    requests = Requests(messages, contacts, cipher, receipts, sender.enqueue, settings.sending, settings.notices, clock)
    return requests, sender


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    """The publisher, the consumers, the sender, and the removal of old messages and erased people."""
    async with mongo.connect(settings.mongo, NAME) as database:
        publisher = Publisher(NAME, database, PUBLICATIONS, settings.kafka, settings.instance)
        requests, sender = sending(settings, database)
        removal = Removal(database, SystemClock(), COMPACTED)
        erasure = Erasure(
            database, PERSONAL_DATA, removal, names(GROUPS), settings.kafka, SystemClock(),
            confirmed=confirmed_over_http(settings.tokens),
        )  # fmt: skip
        handlers = Handlers(requests, erasure)
        running = consumers(GROUPS, handlers, erasure.unless_erased, settings.kafka, settings.instance)
        rings = {"seal": key_names(settings.seal), "bus": key_names(settings.bus)}
        checks: dict[str, Check] = {
            "mongo": partial(mongo.ping, database), "sender": sender.check_overdue, "indexes": erasure.prepare,
            "audit of keys": KeyAudit(database, SystemClock(), rings).prepare,
        }  # fmt: skip
        purge = Purge(removal, [RetentionRule(MESSAGES, state, KEPT) for state in get_args(State)], SystemClock())
        migrating = partial(migrations.report, database, NAME)
        yield Worker(publisher, running, checks, [sender.run, erasure.run, purge.run, migrating])
