"""A door of a service inside the test, on the stack's servers: with a clock, settings, an address of the test's."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2
import pytest

from kit.clock import ManualClock
from kit.process import Api
from services.identity.settings import Settings as IdentitySettings
from services.identity.wiring import api as identity_api
from services.signature.settings import Settings as SignatureSettings
from services.signature.wiring import api as signature_api
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
    _environment(monkeypatch, stack.environment("identity-api") | dict(settings or {}))
    async with identity_api(IdentitySettings(), clock or ManualClock()) as made, _client(made, address) as http:
        yield http


@asynccontextmanager
async def signature(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> AsyncIterator[httpx2.AsyncClient]:
    """signature's."""
    _environment(monkeypatch, stack.environment("signature-api"))
    async with signature_api(SignatureSettings(), clock) as made, _client(made, "127.0.0.1") as http:
        yield http


def _environment(monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


def _client(made: Api, address: str) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(made.app, client=(address, 1))
    return httpx2.AsyncClient(transport=transport, base_url="http://own")
