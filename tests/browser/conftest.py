"""Chromium, once for all tests; a window of each size, with and without JavaScript; a logged-in citizen."""

from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from kit.security.tokens import TokenIssuer
from tests.support.identity_clients import Citizen, LoginPage, Window
from tests.support.portal import Member, member_of
from tests.support.scale import LONG
from tests.support.screens import CHROMIUM, SIZES, Screen, Windows
from tests.support.stack import RunningStack


@pytest_asyncio.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--lang=zh-CN"])
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def windows(chromium: Browser, stack: RunningStack) -> Windows:
    return Windows(chromium, stack.gateway)


@pytest_asyncio.fixture(params=SIZES if LONG else ["phone"])
async def window_of(request: pytest.FixtureRequest, windows: Windows) -> AsyncIterator[Screen]:
    """A phone; in the long run then a desktop."""
    async with windows.screen(request.param) as opened:
        yield opened


@pytest_asyncio.fixture(
    params=[True, False] if LONG else [False], ids=lambda script: "script" if script else "no-script"
)
async def phone(request: pytest.FixtureRequest, windows: Windows) -> AsyncIterator[Screen]:
    """A phone without JavaScript, which can do less; in the long run also one with it."""
    async with windows.screen("phone", script=request.param) as opened:
        yield opened


@pytest_asyncio.fixture
async def desk(windows: Windows) -> AsyncIterator[Screen]:
    async with windows.screen("desk") as opened:
        yield opened


@pytest_asyncio.fixture
async def citizen(window: Window) -> Citizen:
    """A new person who can log in."""
    return await window.enrolled()


@pytest_asyncio.fixture
async def own(
    window: Window, login_page: LoginPage, gateway: httpx2.AsyncClient, issuer: TokenIssuer, citizen: Citizen
) -> Member:
    """The citizen's dossier, their browser logged in."""
    return await member_of(window, login_page, gateway, issuer, citizen)
