"""A service's API inside the test process, on the stack's servers: with the test's clock, settings, client address."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import pytest
from fastapi import FastAPI

from kit import mongo
from kit.core.clock import Clock, ManualClock
from services.identity.settings import Settings as IdentitySettings
from services.identity.wiring.api import api as identity_api
from services.signature.settings import Settings as SignatureSettings
from services.signature.wiring.api import api as signature_api
from services.subscriptions.settings import Settings as SubscriptionsSettings
from services.subscriptions.wiring.api import api as subscriptions_api
from services.subscriptions.wiring.worker import dispatcher
from tests.support.names import own_name
from tests.support.stack import RunningStack


class OwnClient(httpx2.AsyncClient):
    """Calls an application of this process, from a client address of the test's choice."""

    def __init__(self, app: FastAPI, address: str) -> None:
        super().__init__(transport=httpx2.ASGITransport(app, client=(address, 1)), base_url="http://own")
        self.app = app


@asynccontextmanager
async def identity(
    stack: RunningStack,
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock | None = None,
    address: str = "127.0.0.1",
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[OwnClient]:
    """The API of identity."""
    own = dict(settings or {})
    given = stack.privileged("identity-api") if "MONGO__DATABASE" in own else stack.environment("identity-api")
    _environment(monkeypatch, given | own)
    async with identity_api(IdentitySettings(), clock or ManualClock()) as made, OwnClient(made.app, address) as http:
        yield http


@asynccontextmanager
async def signature(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> AsyncIterator[OwnClient]:
    """The API of signature."""
    _environment(monkeypatch, stack.environment("signature-api"))
    async with signature_api(SignatureSettings(), clock) as made, OwnClient(made.app, "127.0.0.1") as http:
        yield http


@dataclass(frozen=True)
class OwnSubscriptions:
    """The API and the deliveries of subscriptions, on a database of their own."""

    http: OwnClient
    clock: ManualClock


@asynccontextmanager
async def subscriptions(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str]
) -> AsyncIterator[OwnSubscriptions]:
    """The API and the worker; only the worker has the test's clock, since the API checks tokens by real time."""
    name, clock = own_name("subscriptions"), ManualClock()
    _environment(monkeypatch, stack.privileged("subscriptions-api") | {"MONGO__DATABASE": name} | dict(settings))
    own = SubscriptionsSettings()
    async with (
        mongo.connect(own.mongo, name) as database,
        dispatcher(own, database, clock) as delivering,
        subscriptions_api(own) as made,
        OwnClient(made.app, "127.0.0.1") as http,
    ):
        task = asyncio.create_task(delivering.run(lambda _: True))
        try:
            yield OwnSubscriptions(http, clock)
        finally:
            task.cancel()
            await asyncio.wait([task])
            await database.client.drop_database(name)


def _environment(monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
