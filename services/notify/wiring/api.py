"""The objects of the api process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from contracts.sessions import ENDED_SESSIONS, SENTENCES
from kit import mongo
from kit.core.clock import SystemClock
from kit.http.app import create_app
from kit.redis import RedisServer
from kit.runtime.health import Check
from kit.runtime.process import Api
from kit.security import security_events
from kit.security.encryption import Cipher
from kit.security.ended_sessions import EndedSessions
from kit.security.tokens import TokenVerifier, jwks_over_http
from services.notify.api import ApiDependencies, router
from services.notify.encryption import MessageCipher
from services.notify.providers.carriers import Carriers
from services.notify.receipts import ReceiptAuthorization, Receipts
from services.notify.service import NotifyService
from services.notify.settings import Settings
from services.notify.store import Messages
from services.notify.wiring import NAME
from services.notify.wiring.shared import accounts


def _dependencies(settings: Settings, messages: Messages) -> ApiDependencies:
    clock = SystemClock()
    cipher = MessageCipher(Cipher(settings.bus), Cipher(settings.seal))
    receipts = Receipts(messages, Carriers([]), cipher, settings.receipts, clock)
    authorizations = {name: ReceiptAuthorization(name, account) for name, account in accounts(settings).items()}
    return ApiDependencies(NotifyService(messages, settings.notices, clock), receipts, authorizations)


@asynccontextmanager
async def api(settings: Settings) -> AsyncIterator[Api]:
    """The HTTP API: messages for operators, receipts from carriers."""
    clock = SystemClock()
    async with mongo.connect(settings.mongo, NAME) as database, RedisServer(settings.redis, NAME) as redis:
        messages, ended = Messages(database), EndedSessions(redis, ENDED_SESSIONS, SENTENCES, clock)
        verifier = TokenVerifier(jwks_over_http(settings.tokens), settings.tokens, clock, ended.get)
        security_events.initialise("secret_wrong")
        app = create_app(NAME, "消息", settings, verifier, router, _dependencies(settings, messages))
        checks: dict[str, Check] = {
            "mongo": partial(mongo.ping, database), "tokens": verifier.ready, "indexes": messages.prepare,
        }  # fmt: skip
        yield Api(app, checks, [ended.follow])
