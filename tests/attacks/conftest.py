"""Fixtures for attacks: identity's API, called from any address, with rate limits separate from other tests'."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import httpx2
import pytest
from redis.asyncio import Redis

from kit.core.clock import SystemClock
from tests.support.identity_clients import LoginPage
from tests.support.own_services import OwnClient, identity
from tests.support.stack import RunningStack

OWN_DATABASE = 10
From = Callable[[str], httpx2.AsyncClient]
"""With an address: a client that calls from there."""
IdentityApi = Callable[..., AbstractAsyncContextManager[From]]
"""With limits by name: an API of identity inside the test."""


@pytest.fixture
async def own_redis(stack: RunningStack) -> AsyncIterator[Redis]:
    async with Redis.from_url(stack.redis_url(OWN_DATABASE), decode_responses=True) as redis:
        await redis.flushdb()
        yield redis


@pytest.fixture
def identity_api(stack: RunningStack, own_redis: Redis, monkeypatch: pytest.MonkeyPatch) -> IdentityApi:
    url = stack.redis_url(OWN_DATABASE)

    @asynccontextmanager
    async def opened(**limits: int) -> AsyncIterator[From]:
        settings = {f"LIMITS__{name.upper()}": str(value) for name, value in limits.items()} | {"REDIS__URL": url}
        async with identity(stack, monkeypatch, SystemClock(), settings=settings) as http:
            yield lambda address: OwnClient(http.app, address)

    return opened


@dataclass
class OwnLoginPage(LoginPage):
    """Uses the API inside the test, and the stack's inbox."""

    outside: LoginPage

    async def messages(self, phone: str) -> list[str]:
        return await self.outside.messages(phone)

    async def code(self, phone: str, count: int = 1, within: float = 20) -> str:
        return await self.outside.code(phone, count, within)


@pytest.fixture
def login_from(own_redis: Redis, login_page: LoginPage) -> Callable[[httpx2.AsyncClient], LoginPage]:
    """The login page at an API inside the test, whose captchas it can read."""
    return lambda http: OwnLoginPage(http, own_redis, login_page.inbox, login_page)
