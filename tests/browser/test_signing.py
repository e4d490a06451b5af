"""The signature in the guide's three steps (§5.7): print, upload, view."""

from pathlib import Path
from random import Random

from tests.signature.conftest import rasterised
from tests.support.identity_clients import LoginPage
from tests.support.names import seeded
from tests.support.portal import Member, let_proof_grow_old
from tests.support.screens import Screen
from tests.support.sheets import scanned, sign
from tests.support.stack import RunningStack


async def printed(own: Member) -> bytes:
    """The signature sheet's PDF as it is printed, opened by the first step's button."""
    sent = await own.browsing.submit("/file/signature/forms", "/file/signature")
    answer = await own.browsing.get(sent.headers["location"])
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].startswith("inline")
    return rasterised(answer.content)


async def handed_in(phone: Screen, folder: Path, content: bytes) -> None:
    path = folder / "form.jpg"
    path.write_bytes(content)
    await phone.page.locator("#f-file").set_input_files(path)
    await phone.press("开始上传")


async def test_a_sheet_is_printed_signed_uploaded_and_viewed(phone: Screen, own: Member, tmp_path: Path) -> None:
    await phone.be(own.browsing)
    await phone.open("/file/signature")
    assert "还没有上传签名信息采集表" in await phone.text()
    assert await phone.page.locator("form[action='/file/signature/forms']").get_attribute("target") == "_blank"
    rng = seeded()
    await handed_in(phone, tmp_path, scanned(sign(await printed(own), rng), rng)[0])
    await phone.page.locator("text=已通过").wait_for(timeout=30_000)
    assert "采集表已收到" not in await phone.text(), "it was shown until the verdict"
    await phone.page.locator("img.signature").evaluate("image => image.decode()")
    await phone.picture("signature-accepted")
    if phone.script:
        assert await phone.grave_findings() == []
    for which, media_type in (("scan", "image/jpeg"), ("image", "image/png")):
        assert (await own.browsing.get(f"/file/signature/{which}")).headers["content-type"] == media_type
    await phone.open("/")
    assert "还没有采集签名" not in await phone.text()


async def test_a_sheet_without_a_signature_is_refused_with_a_reason(phone: Screen, own: Member, tmp_path: Path) -> None:
    await phone.be(own.browsing)
    await phone.open("/file/signature")
    await handed_in(phone, tmp_path, scanned(await printed(own), Random(1))[0])
    await phone.page.locator("text=未通过").first.wait_for(timeout=30_000)
    assert await phone.page.locator("#view .message").count() >= 1
    await phone.picture("signature-refused")
    await phone.open("/")
    assert "签名采集表未通过" in await phone.text()


async def test_the_chosen_file_is_kept_during_reauthentication(
    window_of: Screen, own: Member, tmp_path: Path, stack: RunningStack, login_page: LoginPage
) -> None:
    await asked_for_a_code(window_of, own, tmp_path, stack, login_page)


async def test_the_chosen_file_is_kept_without_javascript(
    phone: Screen, own: Member, tmp_path: Path, stack: RunningStack, login_page: LoginPage
) -> None:
    await asked_for_a_code(phone, own, tmp_path, stack, login_page)


async def asked_for_a_code(
    screen: Screen, own: Member, folder: Path, stack: RunningStack, login_page: LoginPage
) -> None:  # fmt: skip
    rng = seeded()
    content = scanned(sign(await printed(own), rng), rng)[0]
    await let_proof_grow_old(stack, own.browsing)
    await login_page.forget_limits(own.citizen)
    await screen.be(own.browsing)
    await screen.open("/file/signature")
    await handed_in(screen, folder, content)
    assert await screen.text("h1") == "确认是您本人"
    await screen.picture("proof-ask")
    if screen.script:
        assert await screen.grave_findings() == []
    await screen.press("发送动态密码")
    await screen.picture("proof-code")
    if screen.script:
        assert await screen.grave_findings() == []
    await screen.fill(code=await login_page.code(own.citizen.phone, 2))
    await screen.press("确定")
    assert "采集表已收到" in await screen.text()
