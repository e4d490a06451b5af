"""A scan is handed in on the record's page: the doctor mends it first, its state changes by itself."""

from pathlib import Path

import pytest

from tests.support.people import EDUCATION
from tests.support.portal import Member
from tests.support.scans import scan
from tests.support.screens import Screen
from tests.support.waiting import eventually


async def chosen(screen: Screen, folder: Path, content: bytes, name: str = "scan.jpg") -> None:
    path = folder / name
    path.write_bytes(content)
    await screen.page.locator("#f-file").set_input_files(path)


async def verdict(screen: Screen, text: str) -> None:
    """It comes by itself, or without JavaScript when the person looks."""

    async def found() -> bool:
        if not screen.script and await screen.page.locator("text=刷新查看结果").count():
            await screen.press("刷新查看结果")
        return await screen.page.locator(f"text={text}").count() > 0

    await eventually(found, 20, text, pause=0.2)


async def test_a_scan_is_received_checked_and_accepted(phone: Screen, own: Member, tmp_path: Path) -> None:
    record = await own.add("education", EDUCATION)
    await phone.be(own.browsing)
    await phone.open(f"/records/{record}")
    await phone.fill(scan_title="毕业证书扫描件")
    await chosen(phone, tmp_path, scan(96, seed=11))
    await phone.press("开始上传")
    await verdict(phone, "已通过")
    assert "毕业证书扫描件" in await phone.text("#attachment")
    await phone.page.locator("img.sheet").evaluate("image => image.decode()")
    await phone.press("删除附件")
    await phone.press("确定删除")
    assert "附件已删除，可以重新上传" in await phone.text()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (scan(300, quality=80), "须小于 300 KB"),
        (scan(300, quality=80), "300 dpi，须为 72~100 dpi"),
        (scan(50), "50 dpi，须为 72~100 dpi"),
        (scan(96, says=(96, 72)), "比例不是 1:1"),
        (scan(96, says=(0, 0)), "没有注明分辨率"),
    ],
    ids=["too large", "too fine", "too coarse", "uneven", "silent"],
)
async def test_the_doctor_says_what_is_wrong_and_makes_it_right(
    desk: Screen, own: Member, tmp_path: Path, content: bytes, complaint: str
) -> None:
    record = await own.add("education", EDUCATION)
    await desk.be(own.browsing)
    await desk.open(f"/records/{record}")
    await chosen(desk, tmp_path, content)
    await desk.page.locator(f".checks li:has-text('{complaint}')").wait_for()
    await desk.picture("doctor")
    await desk.page.locator(".cure button").click()
    await desk.page.locator("text=已通过").wait_for(timeout=20_000)
    found = (await own.file.call("GET", f"/api/attachments/records/{record}/attachment")).json()
    assert found["warnings"] == []
    assert 72 <= found["dpi"] <= 100


async def test_a_good_scan_needs_no_cure_and_a_picture_of_another_kind_gets_one(
    desk: Screen, own: Member, tmp_path: Path
) -> None:
    record = await own.add("education", EDUCATION)
    await desk.be(own.browsing)
    await desk.open(f"/records/{record}")
    await chosen(desk, tmp_path, scan(96, seed=12))
    await desk.page.locator(".checks li:has-text('96 dpi，横纵一致')").wait_for()
    assert not await desk.page.locator(".cure").is_visible()
    await chosen(desk, tmp_path, b"no picture at all", "letter.jpg")
    await desk.page.locator(".checks li:has-text('图片无法打开')").wait_for()
    assert not await desk.page.locator(".cure").is_visible()


async def test_a_refused_scan_is_replaced_by_a_better_one(phone: Screen, own: Member, tmp_path: Path) -> None:
    record = await own.add("education", EDUCATION)
    await phone.be(own.browsing)
    await phone.open(f"/records/{record}")
    await chosen(phone, tmp_path, scan(60, seed=13))
    await phone.press("开始上传")
    await verdict(phone, "未通过")
    assert "60dpi" in await phone.text("#attachment")
    await chosen(phone, tmp_path, scan(96, seed=14), "better.jpg")
    await phone.press("开始上传")
    await verdict(phone, "已通过")


async def test_a_file_that_is_too_large_is_refused_on_its_page(phone: Screen, own: Member, tmp_path: Path) -> None:
    record = await own.add("education", EDUCATION)
    await phone.be(own.browsing)
    await phone.open(f"/records/{record}")
    await phone.press("开始上传")
    assert "请选择要上传的文件" in await phone.text(".summary")
    await phone.fill(scan_title="太大的扫描件")
    await chosen(phone, tmp_path, scan(300, quality=95))
    await phone.press("开始上传")
    assert "附件必须小于 300KB" in await phone.text(".summary")
    assert await phone.page.locator("#f-scan_title").input_value() == "太大的扫描件"
