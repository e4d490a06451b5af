"""The menu: a button and the current page on a phone, all links on a desktop; without script and by keyboard too."""

from tests.support.portal import Member
from tests.support.screens import Screen, Windows

LINKS = ".menu a >> visible=true"


async def test_a_phone_shows_the_current_page_and_a_button_for_the_others(phone: Screen, own: Member) -> None:
    await phone.be(own.browsing)
    await phone.open("/file/title")
    links = phone.page.locator(LINKS)
    assert await links.all_inner_texts() == ["职称信息"]
    await phone.page.locator(".menu summary").click()
    assert await links.count() == 13
    await phone.press("谁看过我的档案")
    assert phone.path == "/account/looks"
    assert await links.all_inner_texts() == ["谁看过我的档案"]


async def test_the_button_works_by_keyboard_and_axe_finds_nothing(windows: Windows, own: Member) -> None:
    async with windows.screen("phone") as phone:
        await phone.be(own.browsing)
        await phone.open("/")
        await phone.page.locator(".menu summary").focus()
        await phone.page.keyboard.press("Enter")
        assert await phone.page.locator(LINKS).count() == 13
        assert await phone.grave_findings() == []
        assert not await phone.is_wider_than_its_window()
        await phone.page.keyboard.press("Tab")
        assert await phone.page.evaluate("document.activeElement.textContent") == "首页"


async def test_a_desktop_shows_all_links_without_a_button(desk: Screen, own: Member) -> None:
    await desk.be(own.browsing)
    await desk.open("/")
    assert await desk.page.locator(LINKS).count() == 13
    assert not await desk.page.locator(".menu summary").is_visible()
