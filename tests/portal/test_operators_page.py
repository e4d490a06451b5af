"""The operators' page on the real stack: what is well, what is not, and the end of dead letters."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio
from markupsafe import escape

from tests.portal.test_portal_text import HOSTILE, harmless
from tests.support.browsing import Browsing
from tests.support.dead_letters import DEAD_LETTER_GROUP, REASON, store_dead_letter
from tests.support.names import own_name
from tests.support.portal import NewMember
from tests.support.stack import RunningStack
from tests.support.staffing import Desk, Hire, log_in
from tests.support.waiting import eventually

LETTERS = f"/operators/letters/{DEAD_LETTER_GROUP}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def duty(desk_of: Desk) -> Browsing:
    """An operator's browser."""
    return await desk_of("operator")


def logged(stack: RunningStack, *signs: str) -> list[dict[str, object]]:
    """The lines of the portal's log with all of these in them."""
    text = (Path(stack.facts["data"]) / "logs" / "portal-api.log").read_text()
    return [json.loads(line) for line in text.splitlines() if all(sign in line for sign in signs)]


async def test_every_process_server_and_group_is_on_the_page(duty: Browsing, stack: RunningStack) -> None:
    page = (await duty.get("/operators")).text
    programs = [f"{name}-api" for name in stack.facts["services"]]
    for word in (*programs, "notify-worker", "MongoDB", "Kafka", "Redis", "S3 对象存储", "notify.requests", "腾讯云"):
        assert word in page, word
    assert page.count("没有应答") == 0
    fragment = (await duty.get("/operators/state")).text
    assert "<html" not in fragment
    assert "现在：" in fragment


async def test_what_people_do_shows_in_the_figures(duty: Browsing, new_member: NewMember, hire: Hire) -> None:
    before = await figures(duty)
    await new_member()
    await log_in(Browsing(duty.http), await hire("clerk"))

    async def counted() -> bool:
        now = await figures(duty)
        return now["从业人员登录"] > before["从业人员登录"] and now["工作人员登录"] > before["工作人员登录"]

    await eventually(counted, 20, "log-ins of both kinds are counted", pause=1)


async def figures(duty: Browsing) -> dict[str, int]:
    """How many log-ins were right, of people and of staff."""
    text = (await duty.get("/operators/state")).text
    return {
        title: int(text.split(f"<h2>{title}</h2>")[1].split("<dt>登录成功</dt><dd>")[1].split("<")[0])
        for title in ("从业人员登录", "工作人员登录")
    }


async def test_a_process_that_is_gone_is_named(duty: Browsing, stack: RunningStack) -> None:
    stack.supervisor.stop("notify-worker")
    try:

        async def named() -> bool:
            return "notify-worker 没有应答" in (await duty.get("/operators/state")).text

        await eventually(named, 20, "the process is missed", pause=1)
    finally:
        stack.supervisor.start("notify-worker")


async def test_a_letter_is_looked_at_and_replayed_and_its_work_is_done(
    duty: Browsing, stack: RunningStack, new_member: NewMember
) -> None:
    member, why = await new_member(), own_name("database was away")
    letter = await store_dead_letter(stack, "Reject: not yet", member.citizen.id)
    page = f"{LETTERS}?id={quote(letter)}"
    text = (await duty.get(page)).text
    assert "records.access.logged.v1" in text
    assert member.citizen.id in text
    assert REASON not in text
    done = await duty.submit(LETTERS, page, reason=why, action="replay")
    assert done.headers["location"] == "/operators?note=replay"

    async def kept() -> bool:
        return REASON in (await member.browsing.get("/account/looks")).text

    await eventually(kept, 20, "identity has kept the look")
    assert (await duty.get(page)).status_code == 404
    (line,) = logged(stack, why)
    assert (line["event"], line["action"], line["dead_letters"]) == ("dead letters resolved", "replay", [letter])
    assert str(line["by"]).startswith("staff:")
    assert member.citizen.id not in str(line)


async def test_a_letter_is_found_whenever_it_is_looked_for(duty: Browsing, stack: RunningStack) -> None:
    page = f"{LETTERS}?id={quote(await store_dead_letter(stack, own_name('Reject: waits')))}"
    assert {(await duty.get(page)).status_code for _ in range(20)} == {200}
    await duty.submit(LETTERS, page, reason="测试数据", action="drop")


async def test_all_letters_of_a_cause_are_dropped_and_others_stay(duty: Browsing, stack: RunningStack) -> None:
    cause, other = own_name("Reject: broken"), own_name("Reject: other")
    for _ in range(3):
        await store_dead_letter(stack, cause, value=b"{no json")
    await store_dead_letter(stack, other)
    page = f"{LETTERS}?cause={quote(cause)}"
    assert "3 封" in (await duty.get(page)).text
    done = await duty.submit(LETTERS, page, reason="测试数据", action="drop")
    assert done.headers["location"] == "/operators?note=drop"
    text = (await duty.get("/operators")).text
    assert cause not in text
    assert other in text
    await duty.submit(LETTERS, f"{LETTERS}?cause={quote(other)}", reason="测试数据", action="drop")


@pytest.mark.parametrize("reason", ["", "   ", "长" * 201])
async def test_nothing_is_done_without_a_reason(duty: Browsing, stack: RunningStack, reason: str) -> None:
    cause = own_name("Reject: waits")
    page = f"{LETTERS}?cause={quote(cause)}"
    await store_dead_letter(stack, cause)
    for action in ("replay", "drop"):
        refused = await duty.submit(LETTERS, page, reason=reason, action=action)
        assert refused.status_code == 422
        assert "原因" in refused.text.split('class="summary"')[1].split("</div>")[0]
    assert (await duty.get(page)).status_code == 200
    await duty.submit(LETTERS, page, reason="测试数据", action="drop")


async def test_causes_headers_and_contents_are_text_whatever_they_hold(duty: Browsing, stack: RunningStack) -> None:
    for hostile in HOSTILE:
        value = json.dumps({hostile: hostile, "kind": hostile, "name": "张伟"}).encode()
        letter = await store_dead_letter(stack, hostile, value=value)
        page = f"{LETTERS}?id={quote(letter)}"
        for path in ("/operators", page, f"{LETTERS}?cause={quote(hostile)}"):
            harmless((await duty.get(path)).text)
        text = (await duty.get(page)).text
        assert str(escape(hostile)) in text
        assert "张伟" not in text
        harmless((await duty.submit(LETTERS, page, reason=hostile * 30, action="drop")).text)
        neither = await duty.submit(LETTERS, page, reason="测试数据", action=hostile)
        assert neither.headers["location"].startswith(f"{LETTERS}?")
        await duty.submit(LETTERS, page, reason="测试数据", action="drop")


async def test_letters_of_nobody_are_not_there(duty: Browsing) -> None:
    for path in ("/operators/letters/nothing", f"{LETTERS}?id=no/0/1", "/operators/letters/%2e%2e%2f"):
        assert (await duty.get(path)).status_code == 404
