"""Simulated carriers for these tests, separate from the stack's."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.support.sms import Carriers, operators_running


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with operators_running(tmp_path_factory.mktemp("operators")) as address:
        yield address


@pytest_asyncio.fixture
async def operators(endpoint: str) -> AsyncIterator[Carriers]:
    operators = Carriers(f"http://{endpoint}")
    yield operators
    await operators.well()
