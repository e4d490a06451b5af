"""Uploading a scan on the record's page: it is corrected in the browser first, its state updates automatically."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.desk_photos import desk_photo
from tests.support.people import EDUCATION
from tests.support.portal import Member
from tests.support.scans import photo, scan
from tests.support.screens import Screen, Windows
from tests.support.waiting import eventually

CERTAIN, DOUBTFUL = 3, 10
"""Seeds of photos whose sheet is found with and without certainty."""


async def chosen(screen: Screen, folder: Path, content: bytes, name: str = "scan.jpg") -> None:
    path = folder / name
    path.write_bytes(content)
    await screen.page.locator("#f-file").set_input_files(path)


async def verdict(screen: Screen, text: str) -> None:
    """Waits for the verdict; without JavaScript reloads the page."""

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
        (scan(96, density=(96, 72)), "比例不是 1:1"),
        (scan(96, density=(0, 0)), "没有注明分辨率"),
        (scan(200, density=(72, 72), quality=20), "注明的 72 dpi 不可信：照此原件有 58×83 厘米"),
        (scan(96, density=(720, 720)), "720 dpi，须为 72~100 dpi"),
    ],
    ids=["too large", "too fine", "too coarse", "uneven", "silent", "larger than A3", "smaller than a card"],
)
async def test_a_faulty_scan_is_explained_and_corrected(
    desk: Screen, own: Member, tmp_path: Path, content: bytes, complaint: str
) -> None:
    record = await own.add("education", EDUCATION)
    await desk.be(own.browsing)
    await desk.open(f"/records/{record}")
    await chosen(desk, tmp_path, content)
    await desk.page.locator(f".checks li:has-text('{complaint}')").wait_for()
    await desk.picture("doctor")
    await desk.press("使用处理后的图片上传")
    await desk.page.locator("text=已通过").wait_for(timeout=20_000)
    found = await attachment(own, record)
    assert found["warnings"] == []
    assert 72 <= found["dpi"] <= 100


async def attachment(own: Member, record: str) -> dict[str, Any]:
    return dict((await own.file.call("GET", f"/api/attachments/records/{record}/attachment")).json())


@pytest.mark.parametrize("orientation", [1, 6], ids=["landscape", "phone held upright"])
async def test_a_photo_of_4_mb_is_an_accepted_scan_after_three_taps(
    windows: Windows, own: Member, tmp_path: Path, orientation: int
) -> None:
    record, path = await own.add("education", EDUCATION), tmp_path / "photo.jpg"
    path.write_bytes(photo(orientation))
    assert 3_500_000 < path.stat().st_size < 5_000_000
    async with windows.screen("phone") as phone:
        await phone.be(own.browsing)
        await phone.open(f"/records/{record}")
        async with phone.page.expect_file_chooser() as opens:
            await phone.page.locator("#f-file").tap()
        await (await opens.value).set_files(path)  # the second tap, on the photo
        await phone.page.locator("button:has-text('使用处理后的图片上传')").tap()
        await phone.page.locator("text=已通过").wait_for(timeout=20_000)
        await phone.page.locator("img.sheet").evaluate("image => image.decode()")
        await phone.picture(f"photo-accepted-{orientation}")
    found = await attachment(own, record)
    assert (found["state"], found["warnings"]) == ("accepted", [])
    assert (found["width"] > found["height"]) == (orientation == 1)
    assert 250 < max(found["width"], found["height"]) / found["dpi"] * 25.4 <= 298


async def test_a_certificate_on_a_desk_is_cropped_and_accepted_after_three_taps(
    windows: Windows, own: Member, tmp_path: Path
) -> None:
    record, path = await own.add("education", EDUCATION), tmp_path / "photo.jpg"
    path.write_bytes(desk_photo(CERTAIN).jpeg)
    async with windows.screen("phone") as phone:
        await phone.be(own.browsing)
        await phone.open(f"/records/{record}")
        async with phone.page.expect_file_chooser() as opens:
            await phone.page.locator("#f-file").tap()
        await (await opens.value).set_files(path)  # the second tap, on the photo
        await phone.page.locator("text=已裁出纸张并摆正").wait_for(timeout=20_000)
        await phone.picture("photo-cropped")
        assert await phone.grave_findings() == []
        await phone.page.locator("button:has-text('使用处理后的图片上传')").tap()
        await phone.page.locator("text=已通过").wait_for(timeout=20_000)
    found = await attachment(own, record)
    assert (found["state"], found["warnings"]) == ("accepted", [])
    assert found["height"] / found["width"] == pytest.approx(297 / 210, rel=0.03)


async def test_the_corners_of_a_sheet_that_is_not_found_are_set_by_keyboard(
    windows: Windows, own: Member, tmp_path: Path
) -> None:
    record = await own.add("education", EDUCATION)
    async with windows.screen("phone") as phone:
        await phone.be(own.browsing)
        await phone.open(f"/records/{record}")
        await chosen(phone, tmp_path, desk_photo(DOUBTFUL).jpeg)
        await phone.press("裁出纸张")
        corner = phone.page.locator("button[aria-label^='纸张左上角']:focus")
        await corner.wait_for()
        before = await corner.bounding_box()
        await phone.page.keyboard.press("Shift+ArrowDown")
        after = await corner.bounding_box()
        assert before
        assert after
        assert after["y"] > before["y"]
        await phone.picture("photo-corners")
        assert await phone.grave_findings() == []
        assert not await phone.is_wider_than_its_window()
        await phone.press("按四角裁剪")
        await phone.page.locator("text=已裁出纸张并摆正").wait_for(timeout=20_000)
        await phone.press("旋转")
        await phone.press("使用处理后的图片上传")
        await phone.page.locator("text=已通过").wait_for(timeout=20_000)
    assert (await attachment(own, record))["state"] == "accepted"


async def test_uploading_is_not_the_main_button_while_the_file_would_be_refused(
    desk: Screen, own: Member, tmp_path: Path
) -> None:
    record = await own.add("education", EDUCATION)
    await desk.be(own.browsing)
    await desk.open(f"/records/{record}")
    plain, main = desk.page.locator("#attachment .button.plain"), desk.page.locator("#attachment .button:not(.plain)")
    await chosen(desk, tmp_path, scan(300, quality=80))
    await desk.page.locator("button:has-text('使用处理后的图片上传')").wait_for()
    assert (await main.all_inner_texts(), await plain.all_inner_texts()) == (["使用处理后的图片上传"], ["仍然上传原图"])
    assert await desk.grave_findings() == []
    await chosen(desk, tmp_path, b"no picture at all", "letter.jpg")
    await desk.page.locator(".cure:has-text('请用扫描仪按 72~100 dpi')").wait_for()
    assert (await main.count(), await plain.all_inner_texts()) == (0, ["仍然上传原图"])
    await chosen(desk, tmp_path, scan(96))
    await desk.page.locator(".checks li:has-text('96 dpi，横纵一致')").wait_for()
    assert (await main.all_inner_texts(), await plain.count()) == (["开始上传"], 0)


async def test_only_one_verdict_is_shown_and_a_landscape_scan_keeps_its_shape(
    phone: Screen, own: Member, tmp_path: Path
) -> None:
    record = await own.add("education", EDUCATION)
    await phone.be(own.browsing)
    await phone.open(f"/records/{record}")
    await chosen(phone, tmp_path, scan(96, paper=(297, 210)))
    await phone.press("开始上传")
    await verdict(phone, "已通过")
    assert "附件已收到" not in await phone.text()
    shape = "image => [image.clientWidth / image.clientHeight, image.naturalWidth / image.naturalHeight]"
    await phone.page.locator("img.sheet").evaluate("image => image.decode()")
    shown, natural = await phone.page.locator("img.sheet").evaluate(shape)
    assert natural == pytest.approx(297 / 210, rel=0.02)
    assert shown == pytest.approx(natural, rel=0.02)


async def test_a_good_scan_is_unchanged_and_another_image_format_is_converted(
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
    assert await desk.page.locator(".cure button").count() == 0


async def test_a_refused_scan_is_replaced_by_a_better_one(desk: Screen, own: Member, tmp_path: Path) -> None:
    record = await own.add("education", EDUCATION)
    await desk.be(own.browsing)
    await desk.open(f"/records/{record}")
    await chosen(desk, tmp_path, scan(60, seed=13))
    await desk.page.locator("button:has-text('使用处理后的图片上传')").wait_for()
    await desk.press("仍然上传原图")
    await verdict(desk, "未通过")
    assert "60dpi" in await desk.text("#attachment")
    await chosen(desk, tmp_path, scan(96, seed=14), "better.jpg")
    await desk.press("开始上传")
    await verdict(desk, "已通过")


async def test_without_script_a_photo_becomes_a_scan_after_a_look_at_it(
    windows: Windows, own: Member, tmp_path: Path
) -> None:
    record = await own.add("education", EDUCATION)
    async with windows.screen("phone", script=False) as phone:
        await phone.be(own.browsing)
        await phone.open(f"/records/{record}")
        await phone.fill(scan_title="手机拍的证书")
        await chosen(phone, tmp_path, desk_photo(CERTAIN).jpeg)
        await phone.press("开始上传")
        assert "已从照片中裁出纸张并摆正" in await phone.text()
        await phone.picture("photo-corrected")
        await phone.press("使用这张上传")
        await verdict(phone, "已通过")
    found = await attachment(own, record)
    assert (found["title"], found["warnings"]) == ("手机拍的证书", [])
    assert found["height"] / found["width"] == pytest.approx(297 / 210, rel=0.03)


async def test_a_file_that_is_too_large_is_refused_on_its_page(desk: Screen, own: Member, tmp_path: Path) -> None:
    record = await own.add("education", EDUCATION)
    await desk.be(own.browsing)
    await desk.open(f"/records/{record}")
    await desk.press("开始上传")
    assert "请选择要上传的文件" in await desk.text(".summary")
    await desk.fill(scan_title="太大的扫描件")
    await chosen(desk, tmp_path, scan(300, quality=95))
    await desk.page.locator("button:has-text('使用处理后的图片上传')").wait_for()
    await desk.press("仍然上传原图")
    assert "附件必须小于 300KB" in await desk.text(".summary")
    assert "手机" in await desk.text(".summary"), "it says what to do with a photo, too"
    assert await desk.page.locator("#f-scan_title").input_value() == "太大的扫描件"
