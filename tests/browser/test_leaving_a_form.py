"""A changed form asks before it is left; uploads on the same page, and larger type, lose no input."""

from pathlib import Path

from playwright.async_api import Dialog

from tests.support.people import EDUCATION
from tests.support.portal import Member
from tests.support.scans import scan
from tests.support.screens import Screen

NEW = "/file/education/new"


class Asked:
    """Counts the browser's questions about leaving, and answers them."""

    def __init__(self, screen: Screen, leave: bool) -> None:
        self.times, self.leave = 0, leave
        screen.page.on("dialog", self._answer)

    async def _answer(self, dialog: Dialog) -> None:
        assert dialog.type == "beforeunload"
        self.times += 1
        await (dialog.accept() if self.leave else dialog.dismiss())


async def test_a_changed_form_asks_before_it_is_left(desk: Screen, own: Member) -> None:
    await desk.be(own.browsing)
    await desk.open(NEW)
    asked = Asked(desk, leave=False)
    await desk.fill(school="写到一半的学校")
    for way in ("职称信息", "取消", "安全退出"):
        await desk.press(way)
        assert desk.path == NEW
        assert await desk.page.locator("#f-school").input_value() == "写到一半的学校"
    assert asked.times == 3
    asked.leave = True
    await desk.press("职称信息")
    await desk.page.wait_for_url("**/file/title")


async def test_a_submitted_or_unchanged_form_does_not_ask(desk: Screen, own: Member) -> None:
    record = await own.add("education", EDUCATION)
    await desk.be(own.browsing)
    asked = Asked(desk, leave=False)
    await desk.open(f"/records/{record}")
    await desk.press("关闭")
    assert desk.path == "/file/education"
    await desk.open(f"/records/{record}")
    await desk.fill(school="")
    await desk.press("保存")
    assert await desk.page.locator(".summary").count() == 1
    await desk.fill(school="同济大学")
    await desk.press("保存")
    await desk.page.wait_for_url("**/file/education?note=saved")
    assert asked.times == 0


async def test_switching_to_larger_type_keeps_the_input_of_a_form(desk: Screen, own: Member) -> None:
    await desk.be(own.browsing)
    await desk.open(NEW)
    await desk.fill(school="写到一半的学校")
    asked = Asked(desk, leave=True)
    async with desk.page.expect_response("**/large"):
        await desk.press("大字版")
    assert await desk.page.locator("html.large #f-school").input_value() == "写到一半的学校"
    assert asked.times == 0
    await desk.open("/file/education")
    await desk.press("标准字号")
    assert await desk.page.locator("html.large").count() == 0


async def test_uploading_a_scan_loses_no_input_of_the_form_above_it(phone: Screen, own: Member, tmp_path: Path) -> None:
    record = await own.add("education", EDUCATION)
    picture = tmp_path / "scan.jpg"
    picture.write_bytes(scan(96, seed=41))
    await phone.be(own.browsing)
    await phone.open(f"/records/{record}")
    await phone.fill(school="写到一半的学校")
    await phone.page.locator("#f-file").set_input_files(picture)
    await phone.press("开始上传")
    assert "附件已收到" in await phone.text()
    assert "您填写的内容已恢复，尚未保存" in await phone.text()
    assert await phone.page.locator("#f-school").input_value() == "写到一半的学校"
    await phone.fill(principal="新校长")
    if await phone.page.locator("text=刷新查看结果").count():
        await phone.press("刷新查看结果")
    assert await phone.page.locator("#f-principal").input_value() == "新校长"
    await phone.press("保存")
    assert phone.path == "/file/education?note=saved"
    saved = (await own.records("education"))[0]["data"]
    assert (saved["school"], saved["principal"]) == ("写到一半的学校", "新校长")


async def test_enter_with_a_chosen_scan_saves_both(phone: Screen, own: Member, tmp_path: Path) -> None:
    record = await own.add("education", EDUCATION)
    picture = tmp_path / "scan.jpg"
    picture.write_bytes(scan(96, seed=42))
    await phone.be(own.browsing)
    await phone.open(f"/records/{record}")
    await phone.fill(school="另一所大学", scan_title="毕业证书")
    await phone.page.locator("#f-file").set_input_files(picture)
    await phone.page.locator("#f-scan_title").press("Enter")
    await phone.page.wait_for_url("**/records/*#attachment")
    assert (await own.records("education"))[0]["data"]["school"] == "另一所大学"
    assert "毕业证书" in await phone.text("#attachment")


async def test_a_far_too_large_image_loses_no_input(phone: Screen, own: Member, tmp_path: Path) -> None:
    record = await own.add("education", EDUCATION)
    picture = tmp_path / "scan.jpg"
    picture.write_bytes(scan(96, seed=43) + bytes(30 * 1024 * 1024))
    await phone.be(own.browsing)
    await phone.open(f"/records/{record}")
    await phone.fill(school="写到一半的学校")
    await phone.page.locator("#f-file").set_input_files(picture)
    await phone.press("开始上传")
    await phone.page.locator("h1:has-text('文件过大')").wait_for()
    await phone.press("继续填写")
    assert await phone.page.locator("#f-school").input_value() == "写到一半的学校"
