"""The operators' pages of SMS messages: failed ones are found, read and sent again; every state has its word."""

from typing import get_args

import pytest_asyncio

from services.notify.domain import State
from services.notify.templates import CATALOGUE
from services.portal.client.messages import CODES
from services.portal.wording import MESSAGE_STATES, PURPOSES
from tests.support.browsing import Browsing
from tests.support.identity_clients import Citizen, LoginPage, Window
from tests.support.names import own_id
from tests.support.sms import Carriers
from tests.support.staffing import Desk
from tests.support.waiting import eventually

MESSAGES = "/operators/messages"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def operator_desk(desk_of: Desk) -> Browsing:
    """Browsers of operators."""
    return await desk_of("operator")


def test_every_state_and_purpose_has_a_label() -> None:
    assert MESSAGE_STATES.keys() == set(get_args(State))
    assert PURPOSES.keys() == CATALOGUE.keys()
    assert {purpose for purpose, template in CATALOGUE.items() if template.code} == CODES


def hint(citizen: Citizen) -> str:
    return f"{citizen.phone[:3]}****{citizen.phone[-4:]}"


async def failed(operator_desk: Browsing, citizen: Citizen, purpose: str) -> str:
    """The page of this person's message, once it is in the list of failed ones."""

    async def listed() -> str:
        rows = (await operator_desk.get(f"{MESSAGES}?state=failed&purpose={purpose}")).text.split("<tr>")
        mine = [row for row in rows if hint(citizen) in row]
        return mine[0].split(f'href="{MESSAGES}/')[1].split('"')[0] if mine else ""

    return f"{MESSAGES}/{await eventually(listed, 20, 'the message has failed')}"


async def test_a_failed_notice_is_found_read_and_sent_again(
    operator_desk: Browsing, window: Window, sms_operators: Carriers
) -> None:
    await sms_operators.behave("tencent", receipts="fail")
    citizen = await window.enrolled()
    page = await failed(operator_desk, citizen, "certificate_issued")
    await sms_operators.well()
    text = (await operator_desk.get(page)).text
    for words in ("证书申领", hint(citizen), "腾讯云", "失败", "重新发送"):
        assert words in text, words
    assert citizen.phone not in text
    sent = await operator_desk.submit(f"{page}/retry", page)
    assert sent.headers["location"] == f"{page}?note=queued"

    async def delivered() -> bool:
        return "已送达" in (await operator_desk.get(page)).text

    await eventually(delivered, 20, "it has arrived")
    assert "重新发送</button>" not in (await operator_desk.get(page)).text
    again = await operator_desk.ask("POST", f"{page}/retry", data={"csrf": await operator_desk.csrf(page)})
    assert (again.status_code, "只有发送失败的通知可以重新发送" in again.text) == (409, True)


async def test_a_code_that_failed_is_shown_and_not_sent_again(
    operator_desk: Browsing, window: Window, login_page: LoginPage, sms_operators: Carriers
) -> None:
    citizen = await window.enrolled()
    await sms_operators.behave("tencent", receipts="fail")
    await login_page.challenge(citizen)
    page = await failed(operator_desk, citizen, "login_code")
    await sms_operators.well()
    text = (await operator_desk.get(page)).text
    assert "重新发送</button>" not in text
    assert "请本人在登录页面重新获取" in text


async def test_an_empty_list_and_unknown_filters_are_explained(operator_desk: Browsing) -> None:
    assert "没有" in (await operator_desk.get(f"{MESSAGES}?state=expired&purpose=certificate_revoked")).text
    assert (await operator_desk.get(f"{MESSAGES}?state=nothing")).status_code == 200
    assert (await operator_desk.get(f"{MESSAGES}?state=<b>")).status_code in (404, 422)
    assert (await operator_desk.get(f"{MESSAGES}/{own_id()}")).status_code == 404
