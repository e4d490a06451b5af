"""Fixtures for tests of the portal over HTTP: people who are logged in."""

from collections.abc import Callable

import httpx2
import pytest
import pytest_asyncio

from kit.security.tokens import TokenIssuer
from tests.support.browsing import Browsing
from tests.support.identity_clients import LoginPage, Window
from tests.support.portal import Member, NewMember, member_of


@pytest.fixture(scope="session")
def new_member(window: Window, login_page: LoginPage, gateway: httpx2.AsyncClient, issuer: TokenIssuer) -> NewMember:
    async def made() -> Member:
        return await member_of(window, login_page, gateway, issuer)

    return made


@pytest_asyncio.fixture
async def member(new_member: NewMember) -> Member:
    """A new person, logged in."""
    return await new_member()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared(new_member: NewMember) -> Member:
    """One person for the tests of a file that change nothing."""
    return await new_member()


@pytest.fixture
def nobody(gateway: httpx2.AsyncClient) -> Callable[[], Browsing]:
    return lambda: Browsing(gateway)
