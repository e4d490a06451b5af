"""Chromium on the real stack, at the size of a phone or a desktop; axe's findings for a page."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, Response

from tests.support.browsing import COOKIE, Browsing

CHROMIUM = "/usr/bin/chromium"
SIZES = {"phone": (390, 844), "desk": (1366, 768)}
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
GRAVE = {"serious", "critical"}
PICTURES = os.environ.get("PICTURES")
"""Where screenshots are kept, for whoever wants to look at them."""
MOST_BYTES, MOST_REQUESTS = 60_000, 15
PRESSED = "button, input, select, textarea, summary, .button, .top a, nav a, .todos a, .pager a, .back a, .ends a, td a"
"""What is pressed, except links within sentences."""
SMALL = """pressed => [...document.querySelectorAll(pressed)]
    .map(one => one.matches("[type=checkbox], [type=radio]") ? one.labels[0] : one)
    .filter(one => one.checkVisibility() && !one.closest(".unseen"))
    .filter(one => { const { width, height } = one.getBoundingClientRect(); return Math.min(width, height) < 43.9; })
    .map(one => one.outerHTML.slice(0, 80))"""
"""Those below 44 pixels (WCAG 2.5.5); a box to tick is as large as its label."""


@dataclass
class Screen:
    """A browser window of one size."""

    page: Page
    base: str
    size: str
    script: bool = True

    async def open(self, path: str) -> Response:
        response = await self.page.goto(self.base + path)
        assert response
        return response

    @property
    def path(self) -> str:
        return self.page.url.removeprefix(self.base)

    async def press(self, text: str) -> None:
        """Presses a button or a link by its text, and waits for the page to load."""
        await self.page.locator(f"button:has-text('{text}'), a:has-text('{text}')").first.click()
        await self.page.wait_for_load_state()

    async def fill(self, **fields: str) -> None:
        for name, value in fields.items():
            place = self.page.locator(f"#f-{name}")
            if await place.evaluate("place => place.tagName") == "SELECT":
                await place.select_option(value)
            else:
                await place.fill(value)

    async def text(self, within: str = "main") -> str:
        return await self.page.locator(within).inner_text()

    async def be(self, browsing: Browsing) -> None:
        """Takes over the session of a browser that is logged in."""
        secure = self.base.replace(
            "http:", "https:"
        )  # set this way, Chromium accepts such a cookie from secure origins only
        cookie: Any = {
            "name": COOKIE,
            "value": browsing.cookies[COOKIE],
            "url": secure,
            "secure": True,
            "httpOnly": True,
        }
        await self.page.context.add_cookies([cookie])

    async def picture(self, name: str) -> None:
        """Takes a screenshot of the whole page, if they are kept."""
        if PICTURES:
            await self.page.screenshot(path=Path(PICTURES) / f"{name}-{self.size}.png", full_page=True)

    async def paper(self, name: str) -> None:
        """Prints the page to PDF, if pictures are kept."""
        if PICTURES:
            path = Path(PICTURES) / f"print-{name}.pdf"
            await self.page.pdf(path=path, format="A4", prefer_css_page_size=True)

    async def grave_findings(self) -> list[str]:
        """What axe rates serious or critical; needs JavaScript, it never ends without."""
        assert self.script
        await self.page.evaluate(AXE)
        found = await self.page.evaluate("axe.run({resultTypes: ['violations']})")
        grave = [each for each in found["violations"] if each["impact"] in GRAVE]
        return [f"{each['id']}: {node['html']}" for each in grave for node in each["nodes"]]

    async def is_wider_than_its_window(self) -> bool:
        root = "document.documentElement"
        return bool(await self.page.evaluate(f"{root}.scrollWidth > {root}.clientWidth"))

    async def small_targets(self) -> list[str]:
        """Buttons, fields and links of actions that are too small for a finger, on a phone."""
        return list(await self.page.evaluate(SMALL, PRESSED)) if self.size == "phone" else []


@asynccontextmanager
async def screen(browser: Browser, base: str, size: str, script: bool = True) -> AsyncIterator[Screen]:
    """Opens a window; `script`: whether JavaScript is enabled."""
    context = await _new(browser, size, script)
    try:
        yield Screen(await context.new_page(), base, size, script)
    finally:
        await context.close()


@dataclass
class Windows:
    """One of each kind, for one test after the other: a new one takes three times as long as a page in it."""

    browser: Browser
    base: str
    _contexts: dict[tuple[str, bool], BrowserContext] = field(default_factory=dict)

    @asynccontextmanager
    async def screen(self, size: str, script: bool = True) -> AsyncIterator[Screen]:
        """A page without what the one before had: its cookies, what it had loaded. No page of ours stores more."""
        kind = size, script
        context = self._contexts[kind] = self._contexts.get(kind) or await _new(self.browser, *kind)
        page = await context.new_page()
        await (await context.new_cdp_session(page)).send("Network.clearBrowserCache")
        try:
            yield Screen(page, self.base, size, script)
        finally:
            await context.clear_cookies()
            for each in context.pages:
                await each.close()


async def _new(browser: Browser, size: str, script: bool) -> BrowserContext:
    width, height = SIZES[size]
    return await browser.new_context(
        viewport={"width": width, "height": height}, locale="zh-CN", java_script_enabled=script,
        bypass_csp=False, has_touch=size == "phone",
    )  # fmt: skip
