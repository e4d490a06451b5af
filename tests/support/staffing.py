"""Staff accounts for one test, with browsers: no test waits for a TOTP code that another has used."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from unittest import mock

import httpx2
import pyotp
import pytest
import pytest_asyncio

from services.identity.settings import Settings
from services.identity.wiring.shared import Dependencies, open_dependencies
from tests.support.browsing import Browsing
from tests.support.identity_clients import Staff
from tests.support.names import own_name
from tests.support.stack import RunningStack

Hire = Callable[..., Awaitable[Staff]]
"""With roles: a new member of staff who has them."""
Desk = Callable[..., Awaitable[Browsing]]
"""With roles: the browser of a new member of staff, logged in."""
WHY = "答复本人咨询"
PASSWORD = "correct horse battery staple"


async def log_in(browsing: Browsing, staff: Staff, to: str = "/staff", **changes: str) -> httpx2.Response:
    """Logs in through the form."""
    names = ("username", "password")
    typed = {name: staff.login[name] for name in names} | {"totp": staff.code()}
    return await browsing.submit("/staff/login", f"/staff/login?next={to}", **(typed | changes))


async def attend(browsing: Browsing, person: str) -> None:
    """Gives the access reason for this person."""
    path = f"/staff/people/{person}"
    response = await browsing.submit(f"{path}/reason", reason=WHY)
    assert response.headers.get("location") == path, response.text


@pytest_asyncio.fixture(scope="session")
async def inside(stack: RunningStack) -> AsyncIterator[Dependencies]:
    """identity's components, as its commands open them."""
    with mock.patch.dict(os.environ, stack.environment("identity-api")):
        settings = Settings()
    async with open_dependencies(settings) as made:
        yield made


@pytest.fixture(scope="session")
def hire(inside: Dependencies, gateway: httpx2.AsyncClient) -> Hire:
    async def new(*roles: str) -> Staff:
        login = {
            "username": own_name("staff"), "password": PASSWORD, "totp_secret": pyotp.random_base32(),
        }  # fmt: skip
        keep = inside.services.staff.save
        await keep(login["username"], login["password"], login["totp_secret"], list(roles))
        return Staff(gateway, login)

    return new


@pytest.fixture(scope="session")
def desk_of(hire: Hire, gateway: httpx2.AsyncClient) -> Desk:
    async def new(*roles: str) -> Browsing:
        browsing = Browsing(gateway)
        response = await log_in(browsing, await hire(*roles))
        assert response.headers.get("location") == "/staff", response.text
        return browsing

    return new


@pytest.fixture
def browsing(gateway: httpx2.AsyncClient) -> Browsing:
    """A browser without cookies."""
    return Browsing(gateway)
