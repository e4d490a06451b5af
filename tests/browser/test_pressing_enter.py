"""Enter, or a phone keyboard's Go, in any field of any form acts as its main button; the keyboard is sufficient."""

import re

import pytest

from kit.core.ids import new_id
from tests.browser.test_logging_in import ask_for_a_code
from tests.support.dead_letters import DEAD_LETTER_GROUP, store_dead_letter
from tests.support.identity_clients import Citizen, LoginPage
from tests.support.people import EDUCATION
from tests.support.portal import Member
from tests.support.screens import Screen
from tests.support.stack import RunningStack
from tests.support.staffing import Desk, attend

FIELDS = "main form :is(input[name]:not([type=hidden], [type=checkbox], [type=radio], [type=file]), textarea):visible"
NOTE_SUBMITS = """() => {
    const told = (button) => [button?.name, button?.value, button?.formAction];
    document.addEventListener("submit", (event) => {
        event.preventDefault();
        const main = [...event.target.elements].find((one) => one.matches(".button:not(.plain, .danger)"));
        window.submitted = JSON.stringify(told(event.submitter)) === JSON.stringify(told(main));
    });
}"""


async def enter_presses_the_main_button(screen: Screen, *paths: str) -> None:
    """In each text field of each page: the pressed button has the main button's name, value and address."""
    for path in paths:
        await screen.open(path)
        await screen.page.evaluate(NOTE_SUBMITS)
        fields = await screen.page.locator(FIELDS).all()
        assert fields, path
        for field in fields:
            if await field.evaluate("field => field.tagName") == "TEXTAREA":
                continue
            await screen.page.evaluate("window.submitted = null")
            await field.press("Enter")
            pressed = await screen.page.evaluate("window.submitted")
            assert pressed is True, f"{path} {await field.get_attribute('name')}: {pressed}"


async def test_enter_on_the_pages_of_the_log_in(window_of: Screen, citizen: Citizen, login_page: LoginPage) -> None:
    await enter_presses_the_main_button(window_of, "/login", "/staff/login")
    await window_of.open("/login")
    await ask_for_a_code(window_of, citizen, login_page)
    await enter_presses_the_main_button(window_of, "/login/code")


async def test_enter_on_the_pages_of_a_file(desk: Screen, own: Member) -> None:
    kinds = ("education", "degree", "title", "skill_certificate", "work_experience")
    record = await own.add("education", EDUCATION)
    await desk.be(own.browsing)
    await enter_presses_the_main_button(desk, *(f"/file/{kind}/new" for kind in kinds), f"/records/{record}")


async def test_enter_on_the_pages_of_staff(desk: Screen, own: Member, desk_of: Desk, stack: RunningStack) -> None:
    admin, person = await desk_of("admin"), f"/staff/people/{own.citizen.id}"
    dead_letter = await store_dead_letter(stack, cause=f"Reject: {new_id()}")
    await desk.be(admin)
    await enter_presses_the_main_button(
        desk, "/staff/find", "/staff/register/passport", "/staff/register/foreign_permanent_resident_id",
        f"{person}/reason", f"/operators/letters/{DEAD_LETTER_GROUP}?id={dead_letter}",
    )  # fmt: skip
    await attend(admin, own.citizen.id)
    await enter_presses_the_main_button(desk, f"{person}/certificate/rebind")


async def tab_to(screen: Screen, name: str) -> None:
    """Presses Tab until the field has the focus."""
    for _ in range(30):
        await screen.page.keyboard.press("Tab")
        if await screen.page.locator(f"#f-{name}:focus").count():
            return
    pytest.fail(f"no Tab leads to {name}")


async def test_a_person_logs_in_by_the_keyboard_alone(phone: Screen, citizen: Citizen, login_page: LoginPage) -> None:
    keyboard = phone.page.keyboard
    await phone.open("/")
    captcha = await phone.page.locator("input[name=captcha_id]").get_attribute("value")
    answer = await login_page.redis.get(f"identity:captcha:{captcha}")
    for name, text in (("document_number", citizen.number), ("phone", citizen.phone), ("captcha", str(answer))):
        await tab_to(phone, name)
        await keyboard.type(text)
    await keyboard.press("Enter")
    await phone.page.wait_for_url("**/login/code")
    await tab_to(phone, "code")
    await keyboard.type(await login_page.code(citizen.phone))
    await keyboard.press("Enter")
    await phone.page.wait_for_url(re.compile(r":\d+/$"))
    assert str(citizen.card["name"]) in await phone.text("h1")


async def test_a_captcha_is_changed_by_the_keyboard(phone: Screen, citizen: Citizen) -> None:
    await phone.open("/login")
    await phone.fill(document_number=citizen.number)
    first = await phone.page.locator("input[name=captcha_id]").get_attribute("value")
    await tab_to(phone, "captcha")
    await phone.page.keyboard.press("Tab")
    assert await phone.page.evaluate("document.activeElement.textContent") == "换一张"
    await phone.page.keyboard.press("Enter")
    await phone.page.locator(f"input[name=captcha_id]:not([value='{first}'])").wait_for(state="attached")
    assert await phone.page.locator("#f-document_number").input_value() == citizen.number
