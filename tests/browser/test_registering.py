"""A clerk in a browser: an expired document confirmed, a renewed one added to its dossier, data collected again."""

import pytest
import pytest_asyncio

from deploy.local.card_reader.cards import residence_permit
from tests.browser.test_every_page import looked_at
from tests.browser.test_staff_pages import lay
from tests.support.browsing import Browsing
from tests.support.identity_clients import WINDOW, Citizen, Window
from tests.support.identity_documents import Papers, passport
from tests.support.screens import Screen
from tests.support.stack import RunningStack
from tests.support.staffing import Desk, attend

TYPED = ("document_number", "nationality", "name", "sex", "birth_date", "valid_from", "valid_to")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def clerks(desk_of: Desk) -> Browsing:
    """Browsers of clerks."""
    return await desk_of("clerk")


async def registered(window: Window, papers: Papers) -> str:
    answer = await window.clerk.call("POST", WINDOW, json=papers)
    return str(answer.raise_for_status().json()["practitioner_id"])


async def send(screen: Screen) -> None:
    await screen.page.locator("#entries form button:has-text('登记')").click()


async def test_a_renewed_and_expired_passport_is_confirmed_and_added_to_its_dossier(
    window_of: Screen, clerks: Browsing, window: Window
) -> None:
    screen, old = window_of, passport()
    await registered(window, old)
    new = old | passport() | {name: old[name] for name in ("name", "birth_date")} | {"valid_to": "2022-03-01"}
    await screen.be(clerks)
    await screen.open("/staff/register/passport")
    await screen.fill(**{name: str(new[name]) for name in TYPED})
    await send(screen)
    assert await screen.page.locator(".summary").evaluate("summary => summary === document.activeElement")
    assert await screen.page.locator("input[name=same_as]:checked, input[name=document_expired]:checked").count() == 0
    assert await screen.page.locator("#f-document_number").input_value() == new["document_number"]
    assert await screen.grave_findings() == []
    assert not await screen.is_wider_than_its_window()
    await screen.picture("staff-same-person")
    await screen.page.get_by_label("仍要登记").check()
    await screen.page.locator(".summary a", has_text="请选择是否为同一人").click()
    await screen.page.get_by_label("是同一个人，续用原档案").check()
    await send(screen)
    await screen.press("继续")
    assert "原档案、证书和记录继续有效" in await screen.text()
    assert str(new["document_number"]) in await screen.text()


async def test_collecting_data_again_starts_from_the_stored_data(
    phone: Screen, clerks: Browsing, window: Window
) -> None:
    old = passport()
    person = await registered(window, old)
    await attend(clerks, person)
    await phone.be(clerks)
    await phone.open(f"/staff/people/{person}")
    await phone.press("重新采集")
    assert await phone.page.locator("#f-document_number").input_value() == old["document_number"]
    assert await phone.page.locator("#f-birth_date").input_value() == old["birth_date"]
    number = str(passport()["document_number"])
    await phone.fill(document_number=number)
    await send(phone)
    await phone.page.get_by_label("本人换发的证件").check()
    await send(phone)
    assert phone.path == f"/staff/people/{person}?note=renewed"
    assert number in await phone.text()


@pytest.mark.parametrize("document_type", ["card", "passport", "military_id"])
async def test_a_page_on_which_data_are_collected_again(
    window_of: Screen, clerks: Browsing, window: Window, document_type: str
) -> None:
    person = await registered(window, passport())
    await attend(clerks, person)
    await window_of.be(clerks)
    await looked_at(window_of, f"/staff/people/{person}/register/{document_type}", f"staff-collect-{document_type}")


async def test_a_card_of_another_person_is_noticed_and_the_right_one_read_afterwards(
    desk: Screen, clerks: Browsing, window: Window, stack: RunningStack
) -> None:
    citizen, other = await window.registered(), Citizen()
    await attend(clerks, citizen.id)
    await desk.be(clerks)
    await desk.open(f"/staff/people/{citizen.id}")
    await desk.press("重新采集")
    assert f"请读取{citizen.card['name']}本人的证件" in await desk.text()
    for card, words in ((other.card, "该证件属于另一人，没有做任何更改"), (citizen.card, "信息已按本次采集更新")):
        await lay(stack, card)
        await desk.page.locator("section.reader button").click()
        await desk.page.locator("text=已读卡").wait_for()
        await send(desk)
        assert words in await desk.text()
        assert await desk.grave_findings() == []
    assert str(other.card["document_number"]) not in await desk.text()


async def test_another_card_removes_the_question_about_the_last_one(
    desk: Screen, clerks: Browsing, stack: RunningStack
) -> None:
    expired = residence_permit() | {"valid_from": "2012-01-15", "valid_to": "2022-01-15"}
    await desk.be(clerks)
    await desk.open("/staff/register/card")
    for card, asked in ((expired, 1), (residence_permit(), 0)):
        await lay(stack, card)
        await desk.page.locator("section.reader button").click()
        await desk.page.locator("text=已读卡").wait_for()
        assert await desk.page.locator("[data-question]").count() == 0
        await send(desk)
        assert await desk.page.locator("#f-document_expired").count() == asked
    assert await desk.text("h1") == "查看原因"
