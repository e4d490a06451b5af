"""信息有误: nothing typed is lost, nothing is disputed twice, and a clerk's reason opens one person's disputes only."""

from typing import Any

import httpx2
import pytest_asyncio

from tests.portal.test_portal_text import HOSTILE, harmless
from tests.records.test_kinds import CREDIT
from tests.support.browsing import Browsing, hidden_of
from tests.support.identity_clients import LoginPage
from tests.support.portal import Member, NewMember, end_session, import_record
from tests.support.stack import RunningStack
from tests.support.staffing import Desk, attend

LIST = "/file/credit"
WRONG = "决定日期应为 2014 年 2 月 10 日"
CLOSING = {"outcome": "not_corrected", "reason": "来源单位核实：决定日期无误"}


@pytest_asyncio.fixture
async def path(stack: RunningStack, member: Member) -> str:
    """The page of a dispute about a credit record."""
    return f"/records/{await import_record(stack, member.citizen.id, 'credit', CREDIT)}/dispute"


async def disputes(member: Member) -> list[dict[str, Any]]:
    return list((await member.file.call("GET", "/api/records/practitioners/me/disputes")).json()["items"])


async def typed(browsing: Browsing, path: str, text: str = WRONG) -> dict[str, str]:
    """The form of the page as a browser submits it."""
    return hidden_of((await browsing.get(path)).text, path) | {"text": text}


async def disputed(member: Member, path: str, text: str = WRONG) -> str:
    """The page of the window for a new dispute."""
    sent = await member.browsing.submit(path, text=text)
    assert sent.headers["location"] == f"{LIST}?note=disputed", sent.text
    return f"/staff/people/{member.citizen.id}/disputes/{(await disputes(member))[0]['dispute_id']}"


async def clerk_of(desk_of: Desk, member: Member) -> Browsing:
    clerk = await desk_of("clerk")
    await attend(clerk, member.citizen.id)
    return clerk


async def test_the_list_and_the_page_show_the_state(member: Member, path: str, desk_of: Desk) -> None:
    assert path in (await member.browsing.get(LIST)).text
    page = await disputed(member, path)
    assert "异议处理中" in (await member.browsing.get(LIST)).text
    shown = (await member.browsing.get(path)).text
    assert WRONG in shown
    assert 'name="text"' not in shown
    clerk = await clerk_of(desk_of, member)
    closed = await clerk.submit(page, **CLOSING)
    assert closed.headers["location"] == "/staff/disputes?note=dispute_closed"
    assert "异议已处理" in (await member.browsing.get(LIST)).text
    shown = (await member.browsing.get(path)).text
    assert CLOSING["reason"] in shown
    assert "不作更正" in shown
    assert 'name="text"' in shown
    [dispute] = (await member.browsing.get("/account/download.json")).json()["disputes"]
    assert (dispute["text"], dispute["reason"]) == (WRONG, CLOSING["reason"])


async def test_a_form_that_is_sent_twice_opens_one_dispute(member: Member, path: str) -> None:
    form = await typed(member.browsing, path)
    for _ in range(2):
        assert (await member.browsing.ask("POST", path, data=form)).status_code == 303
    assert len(await disputes(member)) == 1
    other = await member.browsing.ask("POST", path, data=form | {"text": "还有一处有误"})
    assert (other.status_code, "您刚才已经提交过异议" in other.text) == (409, True)
    assert "还有一处有误</textarea>" in other.text
    assert hidden_of(other.text, path)["key"] != form["key"]


async def test_text_of_an_ended_session_is_restored(
    stack: RunningStack, member: Member, path: str, login_page: LoginPage
) -> None:
    form = await typed(member.browsing, path)
    await end_session(stack, member.browsing)
    answer = await member.browsing.ask("POST", path, data=form)
    assert answer.headers["location"] == f"/login?next={path}&note=kept"
    await login_page.forget_limits(member.citizen)
    assert (await member.browsing.log_in(member.citizen, login_page, path)).headers["location"] == path
    assert f"{WRONG}</textarea>" in (await member.browsing.get(path)).text
    assert await disputes(member) == []


async def test_a_wrong_text_is_kept_with_the_error(member: Member, path: str) -> None:
    answer = await member.browsing.submit(path, text="错" * 501)
    assert answer.status_code == 422
    assert "错" * 501 in answer.text
    assert "最多填写 500 个字" in answer.text


async def test_records_of_ones_own_and_of_others_have_no_such_page(
    member: Member, new_member: NewMember, path: str
) -> None:
    mine = (await member.file.created())["record_id"]
    assert (await member.browsing.get(f"/records/{mine}/dispute")).status_code == 404
    assert (await (await new_member()).browsing.get(path)).status_code == 404


async def test_hostile_text_is_shown_harmlessly(member: Member, path: str, desk_of: Desk) -> None:
    page = await disputed(member, path, " ".join(HOSTILE))
    clerk = await clerk_of(desk_of, member)
    harmless((await clerk.get(page)).text)
    harmless((await member.browsing.get(path)).text)


async def test_a_clerk_finds_a_dispute_in_the_list(member: Member, path: str, desk_of: Desk) -> None:
    page, clerk = await disputed(member, path), await desk_of("clerk")
    where = "/staff/disputes"
    while page not in (shown := (await clerk.get(where)).text):
        cursor = shown.partition('href="?cursor=')[2].partition('"')[0]
        assert cursor, "the last page"
        where = f"/staff/disputes?cursor={cursor}"
    assert (await clerk.get(page)).headers["location"] == f"/staff/people/{member.citizen.id}/reason?next={page}"


async def test_a_dispute_that_another_clerk_closed_leads_to_the_list(member: Member, path: str, desk_of: Desk) -> None:
    page = await disputed(member, path)
    one, other = await clerk_of(desk_of, member), await clerk_of(desk_of, member)
    form = hidden_of((await other.get(page)).text, page) | CLOSING
    assert (await one.submit(page, **CLOSING)).headers["location"] == "/staff/disputes?note=dispute_closed"
    late: httpx2.Response = await other.ask("POST", page, data=form)
    assert late.headers["location"] == "/staff/disputes?note=dispute_over"
    assert (await other.get(page)).headers["location"] == "/staff/disputes?note=dispute_over"


async def test_a_reason_for_one_person_opens_no_dispute_of_another(
    member: Member, new_member: NewMember, path: str, desk_of: Desk
) -> None:
    page, other = await disputed(member, path), await new_member()
    clerk = await clerk_of(desk_of, member)
    await attend(clerk, other.citizen.id)
    elsewhere = page.replace(member.citizen.id, other.citizen.id)
    assert (await clerk.get(elsewhere)).status_code == 404
    form = hidden_of((await clerk.get(page)).text, page) | CLOSING
    assert (await clerk.ask("POST", elsewhere, data=form)).status_code == 404
    assert (await disputes(member))[0]["state"] == "open"
