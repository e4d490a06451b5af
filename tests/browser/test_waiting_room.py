"""The waiting room: a crowd comes to log in at the same moment; all get in, in the order in which they came."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest_asyncio
from playwright.async_api import Browser

from tests.support.identity_clients import LoginPage
from tests.support.scale import scaled
from tests.support.screens import Screen, Windows, screen

PEOPLE, PACE = scaled(500, 120), 5
AHEAD = re.compile(r"您前面约有 <strong>(\d+)</strong> 人")


@dataclass
class Person:
    """A browser, as far as the waiting room knows."""

    gateway: httpx2.AsyncClient
    cookie: str = ""

    async def look(self) -> int:
        """People ahead; 0 on the page to log in."""
        page = await self.gateway.get("/login", headers={"Cookie": self.cookie})
        assert page.status_code == 200, page.text
        self.cookie = self.cookie or page.headers["set-cookie"].partition(";")[0]
        found = AHEAD.search(page.text)
        assert bool(found) != ('name="captcha"' in page.text)
        return int(found[1]) if found else 0


@pytest_asyncio.fixture
async def people(gateway: httpx2.AsyncClient, login_page: LoginPage) -> AsyncIterator[list[Person]]:
    """They come one after the other, faster than they can be served, and are gone after the test."""
    await login_page.redis.hset("portal:login", "pace", str(PACE))
    crowd = [Person(gateway) for _ in range(PEOPLE)]
    for person in crowd:
        await person.look()
    yield crowd
    while await crowd[-1].look():
        await asyncio.sleep(1)


async def test_a_crowd_gets_in_in_order(people: list[Person], phone: Screen) -> None:
    await phone.open("/login?next=/account/sessions")
    assert "现在登录的人较多，请稍候" in await phone.text()
    await phone.picture("waiting-room")
    if phone.script:
        assert not await phone.grave_findings()
    waiting = people
    while waiting:
        waiting = await _still_waiting(waiting)
        await asyncio.sleep(0.5)
    await phone.page.locator("input[name=captcha]").wait_for(timeout=60_000)
    assert await phone.page.locator("#main input[name=next]").get_attribute("value") == "/account/sessions"


async def _still_waiting(people: list[Person]) -> list[Person]:
    """They look, the latest first: when one of them is let in, all who came before are let in, too."""
    waiting = []
    is_open = False
    for person in reversed(people):
        ahead = await person.look()
        assert not (is_open and ahead), f"{ahead} ahead of somebody who came before one who is in"
        is_open = not ahead
        if ahead:
            waiting.append(person)
    return waiting[::-1]


async def test_a_place_is_kept_over_reloads_and_belongs_to_one_browser(
    people: list[Person], chromium: Browser, windows: Windows
) -> None:
    async with screen(chromium, windows.base, "desk") as first, screen(chromium, windows.base, "desk") as second:
        await first.open("/login")
        place = await _ahead(first)
        await second.open("/login")
        await first.page.reload()
        assert await _ahead(first) <= place
        assert await _ahead(first) < await _ahead(second)
        await first.page.context.clear_cookies()
        await first.page.reload()
        await second.page.reload()
        assert await _ahead(first) > await _ahead(second)


async def _ahead(window: Screen) -> int:
    return int(await window.page.locator("main strong").first.inner_text())
