"""Clients of subscriptions."""

from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
import pytest_asyncio

from kit.auth import TokenIssuer
from tests.support.following import Client
from tests.support.receiver import Receiver, receiving


@pytest.fixture
def new_client(gateway: httpx2.AsyncClient, issuer: TokenIssuer) -> Callable[..., Client]:
    return lambda *scopes: Client(gateway, issuer, frozenset(scopes or {"changes:read"}))


@pytest.fixture
def client(new_client: Callable[..., Client]) -> Client:
    return new_client()


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made
