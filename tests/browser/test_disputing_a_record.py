"""A record of a source is wrong: the person disputes it, a clerk closes the dispute; with and without JavaScript."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.records.test_kinds import CREDIT
from tests.support.portal import Member, import_record
from tests.support.screens import Screen, Windows
from tests.support.stack import RunningStack
from tests.support.staffing import Desk, attend

WRONG = "决定日期应为 2014 年 2 月 10 日"
REASON = "市建设委员会已更正决定日期"


@pytest_asyncio.fixture(params=[True, False], ids=["script", "no-script"])
async def either(request: pytest.FixtureRequest, windows: Windows) -> AsyncIterator[Screen]:
    async with windows.screen("phone", script=request.param) as opened:
        yield opened


async def looked_at(screen: Screen, name: str) -> None:
    await screen.picture(name)
    if screen.script:
        assert await screen.grave_findings() == []
        assert not await screen.is_wider_than_its_window()


async def test_a_dispute_from_the_list_to_its_outcome(
    either: Screen, own: Member, desk_of: Desk, stack: RunningStack
) -> None:
    await import_record(stack, own.citizen.id, "credit", CREDIT)
    await either.be(own.browsing)
    await either.open("/file/credit")
    await either.press("信息有误")
    assert "上海市建设工程注册管理系统" in await either.text()
    await either.press("提交异议")
    assert "请填写此项" in await either.text(".summary")
    await looked_at(either, "dispute")
    await either.fill(text=WRONG)
    await either.press("提交异议")
    assert "异议已提交" in await either.text(".note")
    assert "异议处理中" in await either.text("table")
    await looked_at(either, "disputed")

    clerk = await desk_of("clerk")
    await attend(clerk, own.citizen.id)
    [dispute] = (await own.file.call("GET", "/api/records/practitioners/me/disputes")).json()["items"]
    await either.be(clerk)
    await either.open(f"/staff/people/{own.citizen.id}/disputes/{dispute['dispute_id']}")
    assert WRONG in await either.text()
    assert "提出异议后未更新" in await either.text()
    await either.fill(reason=REASON)
    await either.press("完成处理")
    assert "请填写此项" in await either.text(".summary")
    assert await either.page.locator("#f-reason").input_value() == REASON
    await looked_at(either, "staff-dispute")
    await either.fill(outcome="corrected")
    await either.press("完成处理")
    assert "异议已处理" in await either.text(".note")

    await either.be(own.browsing)
    await either.open("/file/credit")
    assert "异议已处理" in await either.text("table")
    await either.press("查看")
    assert REASON in await either.text()
    assert "来源单位已更正" in await either.text()
    await looked_at(either, "dispute-closed")
