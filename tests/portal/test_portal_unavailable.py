"""Unavailable servers and services: pages explain it in Chinese, input is kept, and nobody is logged out."""

import httpx2

from tests.support.browsing import hidden_of
from tests.support.people import EDUCATION
from tests.support.portal import Member
from tests.support.processes import Processes
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

NEW = "/file/education/new"
TYPED = {name: value for name, value in EDUCATION.items() if value} | {"school": "写到一半的学校"}


async def test_input_is_kept_while_records_is_unavailable(
    stack: RunningStack, member: Member, processes: Processes
) -> None:
    form = hidden_of((await member.browsing.get(NEW)).text, NEW) | TYPED
    async with processes.down("records-api"):
        listed = await member.browsing.get("/file/education")
        assert listed.status_code == 503
        assert "系统繁忙，请稍后再试" in listed.text
        answer = await member.browsing.ask("POST", NEW, data=form)
        assert answer.status_code == 503
        assert "您填写的内容已保留" in answer.text
    await processes.ready(stack.facts["services"]["records"]["internal"])
    page = (await member.browsing.get(NEW)).text
    assert 'value="写到一半的学校"' in page
    assert (await member.browsing.ask("POST", NEW, data=hidden_of(page, NEW) | TYPED)).status_code == 303


async def test_a_record_can_be_edited_while_attachments_is_unavailable(
    stack: RunningStack, member: Member, processes: Processes
) -> None:
    record = await member.add("education", EDUCATION)
    async with processes.down("attachments-api"):
        page = await member.browsing.get(f"/records/{record}")
        assert page.status_code == 200
        assert "附件服务暂时不可用" in page.text
        assert (await member.browsing.submit(f"/records/{record}", **TYPED)).status_code == 303
    await processes.ready(stack.facts["services"]["attachments"]["internal"])


async def test_nobody_is_logged_out_while_redis_is_unavailable(member: Member, processes: Processes) -> None:
    async with processes.down("redis"):
        answer = await member.browsing.get("/file/basic")
        assert answer.status_code == 503
        assert "系统繁忙" in answer.text

    async def back() -> bool:
        return (await member.browsing.get("/file/basic")).status_code == 200

    await eventually(back, 20, "the pages are back", pause=0.2)


async def test_input_stays_in_the_page_while_redis_is_unavailable(member: Member, processes: Processes) -> None:
    form = hidden_of((await member.browsing.get(NEW)).text, NEW) | TYPED
    async with processes.down("redis"):
        answer = await member.browsing.ask("POST", NEW, data=form)
        assert answer.status_code == 503
        assert "重新提交" in answer.text
        again = hidden_of(answer.text, NEW)
        assert again["school"] == "写到一半的学校"

    async def saved() -> bool:
        return (await member.browsing.ask("POST", NEW, data=again)).status_code == 303

    await eventually(saved, 20, "it is saved", pause=0.2)
    assert (await member.records("education"))[0]["data"]["school"] == "写到一半的学校"


async def test_the_gateway_explains_in_chinese_that_the_portal_is_unavailable(
    stack: RunningStack, gateway: httpx2.AsyncClient, processes: Processes
) -> None:
    async with processes.down("portal-api"):
        answer = await gateway.get("/login")
        assert answer.status_code == 503
        assert answer.headers["content-type"].startswith("text/html")
        assert "系统繁忙，请稍后再试" in answer.text
        assert (await gateway.get("/api/records/kinds")).status_code == 200
    await processes.ready(stack.facts["services"]["portal"]["internal"])


async def test_a_file_beyond_every_limit_is_refused_with_a_page(member: Member) -> None:
    record = await member.add("education", EDUCATION)
    form = hidden_of((await member.browsing.get(f"/records/{record}")).text, f"/records/{record}")
    files = {"file": ("scan.jpg", b"x" * 13_000_000, "image/jpeg")}
    answer = await member.browsing.ask("POST", f"/records/{record}/attachment", data=form, files=files)
    assert answer.status_code == 413
    assert answer.headers["content-type"].startswith("text/html")
    assert "过大" in answer.text


async def test_an_upload_without_a_csrf_token_is_not_read(gateway: httpx2.AsyncClient) -> None:
    files = {"file": ("scan.jpg", b"x" * 100_000, "image/jpeg")}
    answer = await gateway.post("/records/x/attachment", files=files)
    assert answer.status_code == 403
    assert "页面已过期" in answer.text
