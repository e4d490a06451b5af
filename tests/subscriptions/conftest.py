"""API clients of subscriptions."""

from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
import pytest_asyncio

from kit.security.tokens import TokenIssuer
from tests.support.change_clients import SCOPE, Client
from tests.support.receiver import Receiver, receiving


@pytest_asyncio.fixture
async def new_client(gateway: httpx2.AsyncClient, issuer: TokenIssuer) -> AsyncIterator[Callable[..., Client]]:
    """Creates clients with these scopes, or `changes:read`; their webhooks are deleted with the test."""
    made: list[Client] = []

    def new(*scopes: str) -> Client:
        made.append(Client(gateway, issuer, frozenset(scopes or {SCOPE})))
        return made[-1]

    yield new
    for client in made:
        if SCOPE in client.scopes:
            await client.forget()


@pytest.fixture
def client(new_client: Callable[..., Client]) -> Client:
    return new_client()


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made
