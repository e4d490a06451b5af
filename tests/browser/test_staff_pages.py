"""The pages of windows and operators in a browser: phone and desktop, with and without JavaScript."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Browser

from deploy.local.card_reader.cards import foreign_card, residence_permit
from deploy.local.people import random_phone
from deploy.local.samples import RECORDS
from kit.security.tokens import TokenIssuer
from tests.browser.test_every_page import looked_at
from tests.records.test_kinds import CREDIT
from tests.support.browsing import Browsing
from tests.support.dead_letters import DEAD_LETTER_GROUP, store_dead_letter
from tests.support.identity_clients import Citizen, LoginPage, Window
from tests.support.identity_documents import passport
from tests.support.names import own_name
from tests.support.portal import Member, import_record, member_of
from tests.support.screens import Screen, screen
from tests.support.stack import RunningStack
from tests.support.staffing import Desk, Hire, attend
from tests.support.waiting import eventually

PERSON = (
    "", "/reason", "/file/education", "/file/title", "/file/credit", "/file/signature", "/certificate/rebind",
    "/certificate/revoke",
)  # fmt: skip
FRESH_AFTER = 6_000
"""Milliseconds; the page of operators asks every five seconds. Where it has JavaScript its clock is the test's."""
WINDOWS = (
    "/staff/find", "/staff/register", "/staff/register/card", "/staff/register/passport", "/staff/password",
    "/staff/rebindings", "/staff/disputes",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def full(
    stack: RunningStack, window: Window, login_page: LoginPage, gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> AsyncIterator[Member]:
    """A person with a dossier."""
    member = await member_of(window, login_page, gateway, issuer)
    for kind, data in RECORDS:
        await member.add(kind, data)
    await import_record(stack, member.citizen.id, "credit", CREDIT)
    yield member


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def clerks(desk_of: Desk, full: Member) -> Browsing:
    """Browsers of clerks that have opened this person's dossier."""
    browsing = await desk_of("clerk")
    await attend(browsing, full.citizen.id)
    return browsing


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def duty(desk_of: Desk) -> Browsing:
    """Browsers of operators."""
    return await desk_of("operator")


async def test_the_log_in_of_staff(window_of: Screen) -> None:
    await looked_at(window_of, "/staff/login", "staff-login")


@pytest.mark.parametrize("path", WINDOWS)
async def test_a_page_of_the_window(window_of: Screen, clerks: Browsing, path: str) -> None:
    await window_of.be(clerks)
    await looked_at(window_of, path, path.removeprefix("/").replace("/", "-"))


@pytest.mark.parametrize("path", PERSON)
async def test_a_page_of_a_person_at_the_window(window_of: Screen, clerks: Browsing, full: Member, path: str) -> None:
    await window_of.be(clerks)
    await looked_at(window_of, f"/staff/people/{full.citizen.id}{path}", f"staff-person{path.replace('/', '-')}")


async def test_the_pages_of_operators(window_of: Screen, duty: Browsing, stack: RunningStack) -> None:
    dead_letter = await store_dead_letter(stack, cause="Reject: an event without data")
    await window_of.be(duty)
    await looked_at(window_of, "/operators", "operators")
    await looked_at(window_of, f"/operators/letters/{DEAD_LETTER_GROUP}?id={dead_letter}", "operators-letters")
    await looked_at(window_of, "/operators/messages?state=", "operators-messages")
    await window_of.page.locator("td a").first.click()
    await looked_at(window_of, window_of.path, "operators-message")


async def test_the_page_of_approvals(window_of: Screen, desk_of: Desk) -> None:
    admin = await desk_of("admin")
    fields = {"asked": "create", "username": own_name("staff"), "role_clerk": "1", "reason": "新设受理窗口"}
    assert (await admin.submit("/operators/approvals", **fields)).status_code == 303
    await window_of.be(admin)
    await looked_at(window_of, "/operators/approvals", "operators-approvals")


async def test_two_hundred_percent_zoom_needs_no_sideways_scrolling(
    desk: Screen, clerks: Browsing, duty: Browsing, full: Member
) -> None:
    await desk.page.set_viewport_size({"width": 683, "height": 384})
    own = [f"/staff/people/{full.citizen.id}{path}" for path in PERSON]
    for browsing, paths in ((clerks, [*WINDOWS, *own]), (duty, ["/operators", "/operators/messages?state="])):
        await desk.be(browsing)
        for path in paths:
            await desk.open(path)
            assert not await desk.is_wider_than_its_window(), path


async def test_a_large_photo_is_reduced_before_it_is_sent(desk: Screen, clerks: Browsing, tmp_path: Path) -> None:
    picture = tmp_path / "photo.jpg"
    Image.effect_noise((1500, 2000), 90).save(picture, "JPEG", quality=95)
    await desk.be(clerks)
    await desk.open("/staff/register/passport")
    papers = passport()
    await desk.fill(**{name: papers[name] for name in ("document_number", "nationality", "name", "sex", "birth_date")})
    await desk.page.locator("#f-portrait").set_input_files(picture)
    await desk.page.locator("text=照片已缩小").wait_for()
    assert await desk.page.locator("#f-portrait").evaluate("input => input.files[0].size") <= 100 * 1024
    assert await desk.page.locator("img.portrait").evaluate("image => image.naturalHeight") == 640
    await desk.picture("staff-photo")
    await desk.page.locator("main button:has-text('登记')").click()
    await desk.press("继续")
    assert "登记完成" in await desk.text("main")
    await desk.page.wait_for_load_state()
    assert await desk.page.locator("img.portrait").evaluate("image => image.naturalHeight") == 640


async def test_a_clerk_logs_in_finds_a_person_and_issues_a_certificate(
    phone: Screen, hire: Hire, window: Window
) -> None:
    citizen, clerk = await window.registered(), await hire("clerk")
    await phone.open("/staff/find")
    assert phone.path.startswith("/staff/login")
    await phone.fill(username=clerk.login["username"], password=clerk.login["password"], totp=clerk.code())
    await phone.page.locator("main button").click()
    assert phone.path == "/staff/find"
    await phone.fill(document_type="resident_id", document_number=citizen.number)
    await phone.page.locator("main button").click()
    await phone.page.get_by_label("办理个人数字证书").check()
    await phone.press("继续")
    assert str(citizen.card["name"]) in await phone.text("main")
    assert "原因：办理个人数字证书" in await phone.text("main")
    await phone.press("申领证书")
    await phone.fill(phone=citizen.phone)
    await phone.press("下一步")
    assert citizen.phone in await phone.text("main")
    await phone.picture("staff-certificate-confirm")
    await phone.page.locator("main button:has-text('确定')").click()
    assert "个人数字证书已申领" in await phone.text("main")


async def test_another_phone_is_bound_with_its_owner_at_the_window(
    window_of: Screen, clerks: Browsing, window: Window, login_page: LoginPage
) -> None:
    citizen, child = await window.enrolled(), await window.enrolled()
    await login_page.forget_limits(child)
    await attend(clerks, citizen.id)
    await window_of.be(clerks)
    await window_of.open(f"/staff/people/{citizen.id}/certificate/rebind")
    await window_of.fill(phone=child.phone)
    await window_of.press("发送动态密码")
    assert "该手机号码已绑定其他人员" in await window_of.text("main")
    await window_of.picture("staff-phone-shared")
    await window_of.fill(shared_reason="老人使用子女的手机")
    await window_of.press("发送动态密码")
    assert child.phone in await window_of.text("main")
    await window_of.picture("staff-phone-code")
    assert await window_of.grave_findings() == []
    await window_of.fill(code=await login_page.code(child.phone))
    await window_of.page.locator("main button:text-is('确定')").click()
    assert "已绑定新的手机号码" in await window_of.text("main")


async def test_another_phone_waits_for_a_second_clerk_who_confirms_it(
    window_of: Screen, clerks: Browsing, window: Window
) -> None:
    citizen = await window.enrolled()
    rebinding = await window.waiting(citizen, random_phone())
    await attend(clerks, citizen.id)
    await window_of.be(clerks)
    await looked_at(window_of, "/staff/rebindings", "staff-rebindings")
    await looked_at(window_of, f"/staff/people/{citizen.id}/rebindings/{rebinding}", "staff-rebinding")
    await window_of.page.locator("main button:has-text('确认更换')").click()
    assert "新的手机号码已绑定" in await window_of.text("main")


@pytest.mark.parametrize("card", [Citizen().card, residence_permit(), foreign_card()], ids=["id", "permit", "foreign"])
async def test_a_card_is_read_checked_and_registered(
    desk: Screen, clerks: Browsing, stack: RunningStack, card: dict[str, object]
) -> None:
    await desk.be(clerks)
    await desk.open("/staff/register/card")
    await lay(stack, None)
    await desk.page.locator("section.reader button").click()
    await desk.page.locator("text=读卡机上没有证件").wait_for()
    await lay(stack, card)
    await desk.page.locator("section.reader button").click()
    await desk.page.locator("text=已读卡").wait_for()
    assert await desk.page.locator("#f-document_number").input_value() == card["document_number"]
    await desk.picture(f"staff-card-{card['document_type']}")
    assert await desk.grave_findings() == []
    await desk.page.locator("main button:has-text('登记')").last.click()
    assert await desk.text("h1") == "查看原因"
    await desk.press("继续")
    assert "登记完成" in await desk.text("main")
    assert str(card["document_number"]) in await desk.text("main")


async def lay(stack: RunningStack, card: dict[str, object] | None) -> None:
    async with httpx2.AsyncClient() as http:
        headers = {"Content-Type": "application/json"}
        tray = f"{stack.facts['card_reader']}/tray"
        (await http.post(tray, content=json.dumps(card), headers=headers)).raise_for_status()


@pytest_asyncio.fixture(params=[True, False], ids=["script", "no-script"])
async def of_its_own(request: pytest.FixtureRequest, chromium: Browser, stack: RunningStack) -> AsyncIterator[Screen]:
    """A window whose clock is the test's where there is JavaScript: it can't be given back."""
    async with screen(chromium, stack.gateway, "phone", script=request.param) as opened:
        if opened.script:
            await opened.page.clock.install()
        yield opened


@pytest.mark.parametrize("of_its_own", [True], indirect=True)
async def test_the_operations_page_updates_automatically(
    of_its_own: Screen, duty: Browsing, stack: RunningStack
) -> None:
    desk = of_its_own
    await desk.be(duty)
    await desk.open("/operators")
    cause = f"Reject: {random_phone()[3:]}"
    await store_dead_letter(stack, cause=cause)

    async def shown() -> bool:
        await desk.page.clock.fast_forward(FRESH_AFTER)
        return await desk.page.locator(f"text={cause}").count() > 0

    await eventually(shown, 15, "the dead letter is on the page", pause=0.3)


async def test_the_operations_page_is_current_with_and_without_javascript(of_its_own: Screen, duty: Browsing) -> None:
    phone = of_its_own
    await phone.be(duty)
    await phone.open("/operators")
    first = await phone.text("main .lead")

    async def changed() -> bool:
        if phone.script:
            await phone.page.clock.fast_forward(FRESH_AFTER)
        return await phone.text("main .lead") != first

    await eventually(changed, 20, "the page is another one", pause=0.5)
