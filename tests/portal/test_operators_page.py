"""The operations page on the real stack: what works, what fails, and the handling of dead letters."""

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
async def operator_desk(desk_of: Desk) -> Browsing:
    """Browsers of operators."""
    return await desk_of("operator")


def logged(stack: RunningStack, *signs: str) -> list[dict[str, object]]:
    """The lines of the portal's log that contain all of these."""
    text = (Path(stack.facts["data"]) / "logs" / "portal-api.log").read_text()
    return [json.loads(line) for line in text.splitlines() if all(sign in line for sign in signs)]


async def test_every_process_server_and_group_is_on_the_page(operator_desk: Browsing, stack: RunningStack) -> None:
    page = (await operator_desk.get("/operators")).text
    programs = [f"{name}-api" for name in stack.facts["services"]]
    for word in (*programs, "notify-worker", "MongoDB", "Kafka", "Redis", "S3 对象存储", "notify.requests", "腾讯云"):
        assert word in page, word
    assert page.count("没有应答") == 0
    fragment = (await operator_desk.get("/operators/state")).text
    assert "<html" not in fragment
    assert "现在：" in fragment


async def test_log_ins_are_counted_on_the_page(operator_desk: Browsing, new_member: NewMember, hire: Hire) -> None:
    before = await figures(operator_desk)
    await new_member()
    await log_in(Browsing(operator_desk.http), await hire("clerk"))

    async def counted() -> bool:
        now = await figures(operator_desk)
        return now["从业人员登录"] > before["从业人员登录"] and now["工作人员登录"] > before["工作人员登录"]

    await eventually(counted, 20, "log-ins of both kinds are counted", pause=1)


async def figures(operator_desk: Browsing) -> dict[str, int]:
    """The numbers of successful log-ins, of people and of staff."""
    text = (await operator_desk.get("/operators/state")).text
    return {
        title: int(text.split(f"<h2>{title}</h2>")[1].split("<dt>登录成功</dt><dd>")[1].split("<")[0])
        for title in ("从业人员登录", "工作人员登录")
    }


async def test_an_unreachable_process_is_named(operator_desk: Browsing, stack: RunningStack) -> None:
    stack.supervisor.stop("notify-worker")
    try:

        async def named() -> bool:
            return "notify-worker 没有应答" in (await operator_desk.get("/operators/state")).text

        await eventually(named, 20, "the process is missed", pause=1)
    finally:
        stack.supervisor.start("notify-worker")


async def test_a_dead_letter_is_shown_replayed_and_handled(
    operator_desk: Browsing, stack: RunningStack, new_member: NewMember
) -> None:
    member, why = await new_member(), own_name("database was away")
    dead_letter = await store_dead_letter(stack, "Reject: not yet", member.citizen.id)
    page = f"{LETTERS}?id={quote(dead_letter)}"
    text = (await operator_desk.get(page)).text
    assert "records.access.logged.v1" in text
    assert member.citizen.id in text
    assert REASON not in text
    done = await operator_desk.submit(LETTERS, page, reason=why, action="replay")
    assert done.headers["location"] == "/operators?note=replay"

    async def kept() -> bool:
        return REASON in (await member.browsing.get("/account/looks")).text

    await eventually(kept, 20, "identity has kept the look")
    assert (await operator_desk.get(page)).status_code == 404
    (line,) = logged(stack, why)
    assert (line["event"], line["action"], line["dead_letters"]) == ("dead letters resolved", "replay", [dead_letter])
    assert str(line["by"]).startswith("staff:")
    assert member.citizen.id not in str(line)


async def test_a_dead_letter_stays_findable(operator_desk: Browsing, stack: RunningStack) -> None:
    page = f"{LETTERS}?id={quote(await store_dead_letter(stack, own_name('Reject: waits')))}"
    assert {(await operator_desk.get(page)).status_code for _ in range(20)} == {200}
    await operator_desk.submit(LETTERS, page, reason="测试数据", action="drop")


async def test_all_dead_letters_of_a_cause_are_dropped_and_others_stay(
    operator_desk: Browsing, stack: RunningStack
) -> None:
    cause, other = own_name("Reject: broken"), own_name("Reject: other")
    for _ in range(3):
        await store_dead_letter(stack, cause, value=b"{no json")
    await store_dead_letter(stack, other)
    page = f"{LETTERS}?cause={quote(cause)}"
    assert "3 封" in (await operator_desk.get(page)).text
    done = await operator_desk.submit(LETTERS, page, reason="测试数据", action="drop")
    assert done.headers["location"] == "/operators?note=drop"
    text = (await operator_desk.get("/operators")).text
    assert cause not in text
    assert other in text
    await operator_desk.submit(LETTERS, f"{LETTERS}?cause={quote(other)}", reason="测试数据", action="drop")


@pytest.mark.parametrize("reason", ["", "   ", "长" * 201])
async def test_replaying_and_dropping_require_a_reason(
    operator_desk: Browsing, stack: RunningStack, reason: str
) -> None:
    cause = own_name("Reject: waits")
    page = f"{LETTERS}?cause={quote(cause)}"
    await store_dead_letter(stack, cause)
    for action in ("replay", "drop"):
        refused = await operator_desk.submit(LETTERS, page, reason=reason, action=action)
        assert refused.status_code == 422
        assert "原因" in refused.text.split('class="summary"')[1].split("</div>")[0]
    assert (await operator_desk.get(page)).status_code == 200
    await operator_desk.submit(LETTERS, page, reason="测试数据", action="drop")


async def test_causes_headers_and_contents_are_escaped(operator_desk: Browsing, stack: RunningStack) -> None:
    for hostile in HOSTILE:
        value = json.dumps({hostile: hostile, "kind": hostile, "name": "张伟"}).encode()
        dead_letter = await store_dead_letter(stack, hostile, value=value)
        page = f"{LETTERS}?id={quote(dead_letter)}"
        for path in ("/operators", page, f"{LETTERS}?cause={quote(hostile)}"):
            harmless((await operator_desk.get(path)).text)
        text = (await operator_desk.get(page)).text
        assert str(escape(hostile)) in text
        assert "张伟" not in text
        harmless((await operator_desk.submit(LETTERS, page, reason=hostile * 30, action="drop")).text)
        neither = await operator_desk.submit(LETTERS, page, reason="测试数据", action=hostile)
        assert neither.headers["location"].startswith(f"{LETTERS}?")
        await operator_desk.submit(LETTERS, page, reason="测试数据", action="drop")


async def test_an_unknown_dead_letter_is_not_found(operator_desk: Browsing) -> None:
    for path in ("/operators/letters/nothing", f"{LETTERS}?id=no/0/1", "/operators/letters/%2e%2e%2f"):
        assert (await operator_desk.get(path)).status_code == 404
