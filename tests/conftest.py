"""Fixtures for all tests: the stack of real servers, API callers, and a small sample service."""

from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
import pytest_asyncio
import structlog

from kit.security.tokens import TokenIssuer
from tests.support.early_responses import EarlyResponseTransport
from tests.support.people import Person
from tests.support.processes import Processes
from tests.support.scale import LONG
from tests.support.stack import RunningStack
from tests.support.things import Things, own_things
from tests.support.tokens import stack_issuer

pytest_plugins = [
    "tests.support.identity_clients",
    "tests.support.sms",
    "tests.support.staffing",
    "tests.support.authenticator",
    "tests.support.prometheus",
]


# pymongo and urllib3 drop a socket without closing it when its server is killed during the handshake of TLS.
DROPPED_SOCKET = "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs the tests that scan all stored data first, while there is little: each test adds to it.

    With LONG=1 the order stays, so that they scan what the other tests left. A socket that a killed server leaves fails
    no test of faults.
    """
    if not LONG:
        items.sort(key=lambda item: item.get_closest_marker("all_data") is None)
    for item in items:
        if item.get_closest_marker("faults"):
            item.add_marker(pytest.mark.filterwarnings(DROPPED_SOCKET))


@pytest.fixture(scope="session", autouse=True)
def _plain_logs() -> None:
    """Writes the kit's logs as short lines, so that the output of a failed test is readable."""
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, plain])


@pytest.fixture(scope="session")
def stack() -> RunningStack:
    return RunningStack.from_environment()


@pytest.fixture(scope="session")
def issuer(stack: RunningStack) -> TokenIssuer:
    return stack_issuer(stack)


@pytest_asyncio.fixture(scope="session")
async def gateway(stack: RunningStack) -> AsyncIterator[httpx2.AsyncClient]:
    limits = httpx2.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=2)
    async with httpx2.AsyncClient(
        base_url=stack.gateway, timeout=20, transport=EarlyResponseTransport(limits=limits)
    ) as client:
        yield client


@pytest.fixture
def new_person(gateway: httpx2.AsyncClient, issuer: TokenIssuer) -> Callable[[], Person]:
    return lambda: Person(gateway, issuer)


@pytest.fixture
def person(new_person: Callable[[], Person]) -> Person:
    return new_person()


@pytest_asyncio.fixture
async def processes(stack: RunningStack) -> AsyncIterator[Processes]:
    """The stack's programs. After a test that interrupted some of them everything is ready for the next one."""
    processes = Processes(stack)
    yield processes
    if processes.interrupted:
        await processes.all_ready()


@pytest_asyncio.fixture
async def things(stack: RunningStack) -> AsyncIterator[Things]:
    async with own_things(stack) as made:
        yield made
