"""The guide's steps (§5) in a browser: add, edit, delete, with and without JavaScript."""

from tests.support.portal import Member
from tests.support.screens import Screen

DEGREE = {
    "school": "同济大学", "degree": "硕士", "degree_name": "工学硕士", "major": "结构工程", "committee_chair": "李·某",
    "certificate_no": "1024732013000001", "issued_on": "2013-07-01",
}  # fmt: skip


async def test_a_degree_is_added_edited_and_deleted(phone: Screen, own: Member) -> None:
    await phone.be(own.browsing)
    await phone.open("/")
    await phone.page.locator(".tile:has-text('学历证书信息')").click()
    await phone.press("新增学位证书")
    await phone.fill(**DEGREE | {"school": ""})
    await phone.press("保存")
    assert "请填写此项" in await phone.text(".summary")
    assert await phone.page.locator("#f-degree_name").input_value() == "工学硕士"
    assert await phone.page.locator("#f-degree").input_value() == "硕士"
    await phone.fill(school="同济大学")
    await phone.press("保存")
    assert "现在可以上传附件" in await phone.text()
    await phone.fill(major="岩土工程")
    await phone.press("保存")
    assert phone.path == "/file/education?note=saved"
    assert "岩土工程" in await phone.text()
    await phone.press("删除")
    assert "确定要删除" in await phone.text()
    await phone.press("确定删除")
    assert "已删除" in await phone.text()
    assert "还没有学位证书" in await phone.text()


async def test_a_present_employment_lasts_until_today(phone: Screen, own: Member) -> None:
    await phone.be(own.browsing)
    await phone.open("/file/work_experience/new")
    await phone.fill(employer="上海建工", start="2014-03-04", title="工程师", position="项目经理", field="施工")
    await phone.page.locator("#f-end_open").check()
    await phone.press("保存")
    assert "至今" in await phone.text()


async def test_typing_an_end_date_unticks_until_today(phone: Screen, own: Member) -> None:
    work = {"employer": "上海建工", "start": "2014-03-04", "title": "工程师", "position": "项目经理", "field": "施工"}
    record = await own.add("work_experience", work | {"end": None})
    await phone.be(own.browsing)
    await phone.open(f"/records/{record}")
    await phone.fill(end="2016-05-31")
    await phone.press("保存")
    if "请只保留一项" in await phone.text():  # without JavaScript the person unticks it, and no input is lost
        assert await phone.page.locator("#f-end").input_value() == "2016-05-31"
        await phone.page.locator("#f-end_open").uncheck()
        await phone.press("保存")
    assert "2016-05-31" in await phone.text()


async def test_a_day_is_chosen_in_a_calendar_or_typed(desk: Screen, own: Member) -> None:
    work = {"employer": "上海建工", "start": "2014-03-04", "title": "工程师", "position": "项目经理", "field": "施工"}
    record = await own.add("work_experience", work | {"end": None})
    await desk.be(own.browsing)
    await desk.open(f"/records/{record}")
    calendars = desk.page.locator("input[type=date]")
    for button in await desk.page.locator("button:has-text('日历')").all():
        await button.click()
    assert await calendars.first.input_value() == "2014-03-04"
    await calendars.last.fill("2016-05-31")
    assert await desk.page.locator("#f-end").input_value() == "2016-05-31"
    await desk.fill(start="2013.3.4")
    await desk.press("保存")
    assert desk.path == "/file/work_experience?note=saved"
    assert {"2013-03-04", "2016-05-31"} <= set((await desk.text()).split())


async def test_after_logging_out_the_back_button_shows_nothing(phone: Screen, own: Member) -> None:
    await phone.be(own.browsing)
    await phone.open("/file/basic")
    assert own.citizen.number in await phone.text()
    await phone.open("/file/education")
    await phone.press("安全退出")
    assert "您已安全退出" in await phone.text()
    for _ in range(2):
        await phone.page.go_back()
        assert own.citizen.number not in await phone.text("body")
        assert phone.path.startswith("/login")


async def test_no_typed_script_runs(desk: Screen, own: Member) -> None:
    hit = "<img src=x onerror=\"document.title='hit'\"><script>document.title='hit'</script>"
    record = await own.add("degree", DEGREE | {"school": hit, "degree_name": hit})
    await desk.be(own.browsing)
    errors: list[str] = []
    desk.page.on("console", lambda message: errors.append(message.text))
    for path in ("/", "/file/education", f"/records/{record}", f"/records/{record}/delete"):
        await desk.open(path)
        assert "hit" not in await desk.page.title()
    assert errors == []


async def test_the_content_security_policy_blocks_an_injected_script(desk: Screen) -> None:
    await desk.open("/help")
    await desk.page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "document.title = 'hit'";
        document.body.append(script);
    }""")
    assert "hit" not in await desk.page.title()
