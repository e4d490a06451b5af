"""Staff add a passkey and log in with it, in Chromium with its virtual authenticator."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser, CDPSession

from tests.browser.test_every_page import looked_at
from tests.support.browsing import Browsing
from tests.support.identity_clients import Staff
from tests.support.screens import Screen, screen
from tests.support.stack import RunningStack
from tests.support.staffing import Desk, Hire

AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


@dataclass
class Office:
    """A desk whose computer has an authenticator. Browsers have passkeys for a name, not for 127.0.0.1."""

    screen: Screen
    devtools: CDPSession
    authenticator: str

    async def credentials(self) -> list[Mapping[str, object]]:
        found = await self.devtools.send("WebAuthn.getCredentials", {"authenticatorId": self.authenticator})
        return list(found["credentials"])

    async def log_in(self, staff: Staff, code: str) -> None:
        await self.screen.open("/staff/passkeys")
        await self.screen.fill(username=staff.login["username"], password=staff.login["password"], totp=code)
        await self.screen.page.locator("main form button").click()
        await self.screen.page.wait_for_url("**/staff/passkeys")

    async def add(self, staff: Staff, code: str, name: str) -> None:
        await self.screen.fill(name=name, password=staff.login["password"], totp=code)
        await self.screen.press("继续")
        await self.screen.press("创建通行密钥")


@pytest_asyncio.fixture
async def office(chromium: Browser, stack: RunningStack) -> AsyncIterator[Office]:
    base = stack.gateway.replace("127.0.0.1", "localhost")
    async with screen(chromium, base, "desk") as opened:
        devtools = await opened.page.context.new_cdp_session(opened.page)
        await devtools.send("WebAuthn.enable")
        made = await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        yield Office(opened, devtools, made["authenticatorId"])


async def test_a_passkey_is_added_used_and_removed(office: Office, hire: Hire) -> None:
    clerk, page = await hire("clerk"), office.screen.page
    await office.log_in(clerk, clerk.code())
    await looked_at(office.screen, "/staff/passkeys", "staff-passkeys-none")
    await office.add(clerk, clerk.next_code(), "办公室电脑")
    await page.wait_for_url("**/staff/passkeys?note=passkey_added")
    assert "办公室电脑" in await office.screen.text()
    await looked_at(office.screen, "/staff/passkeys", "staff-passkeys")
    (credential,) = await office.credentials()
    assert credential["isResidentCredential"]

    await office.screen.press("安全退出")
    await office.screen.open("/staff/login?next=/staff/rebindings")
    await office.screen.press("使用通行密钥登录")
    await page.wait_for_url("**/staff/rebindings")
    assert clerk.login["username"] in await office.screen.text("header")

    await office.screen.open("/staff/passkeys")
    await office.screen.press("移除")
    assert "通行密钥已移除" in await office.screen.text()
    await office.screen.press("安全退出")
    await office.screen.open("/staff/login/passkey")
    await page.locator(".summary").wait_for()
    assert "通行密钥登录失败" in await office.screen.text()
    await office.screen.picture("staff-passkey-login-failed")
    assert await office.screen.grave_findings() == []  # not loaded again: the page would start another log-in


async def test_a_person_whom_the_device_does_not_recognise_is_refused(office: Office, hire: Hire) -> None:
    clerk = await hire("clerk")
    await office.log_in(clerk, clerk.code())
    unverified = {"authenticatorId": office.authenticator, "isUserVerified": False}
    await office.devtools.send("WebAuthn.setUserVerified", unverified)
    await office.add(clerk, clerk.next_code(), "办公室电脑")
    await office.screen.page.locator("[role=status]:has-text('已取消或超时')").wait_for()
    assert await office.credentials() == []


async def test_without_passkeys_the_page_offers_the_password(phone: Screen) -> None:
    """Without script, and at an address for which browsers have none."""
    await phone.open("/staff/login")
    await phone.press("使用通行密钥登录")
    said = "不能使用通行密钥"
    await phone.page.locator(f"[role=status]:has-text('{said}')").wait_for()
    await phone.press("用密码和动态口令登录")
    assert phone.path.startswith("/staff/login?next=")


@pytest.mark.parametrize("path", ["/staff/passkeys", "/staff/login/passkey"])
async def test_the_pages_of_passkeys(window_of: Screen, desk_of: Desk, path: str) -> None:
    if path == "/staff/passkeys":
        browsing: Browsing = await desk_of("clerk")
        await window_of.be(browsing)
    await looked_at(window_of, path, path.removeprefix("/").replace("/", "-"))
