"""A door of a service inside the test, on the stack's servers: with a clock, settings, an address of the test's."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2
import pytest

from kit.clock import ManualClock
from services.identity.settings import Settings
from services.identity.wiring import api
from tests.support.stack import RunningStack


@asynccontextmanager
async def identity(
    stack: RunningStack,
    monkeypatch: pytest.MonkeyPatch,
    clock: ManualClock | None = None,
    address: str = "127.0.0.1",
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[httpx2.AsyncClient]:
    """identity's."""
    for name, value in (stack.environment("identity-api") | dict(settings or {})).items():
        monkeypatch.setenv(name, value)
    async with api(Settings(), clock or ManualClock()) as made:
        transport = httpx2.ASGITransport(made.app, client=(address, 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://own") as http:
            yield http
