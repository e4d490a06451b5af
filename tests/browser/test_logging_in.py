"""The log-in pages (guide §4) in a browser."""

from tests.support.identity_clients import Citizen, LoginPage, Window, another
from tests.support.screens import Screen


async def ask_for_a_code(phone: Screen, citizen: Citizen, login_page: LoginPage) -> None:
    captcha = await phone.page.locator("input[name=captcha_id]").get_attribute("value")
    answer = await login_page.redis.get(f"identity:captcha:{captcha}")
    await phone.fill(document_number=citizen.number, phone=citizen.phone, captcha=str(answer))
    await phone.press("获取动态密码")


async def test_a_person_logs_in_by_captcha_and_code(phone: Screen, citizen: Citizen, login_page: LoginPage) -> None:
    await phone.open("/")
    assert phone.path == "/login?next=/"
    await ask_for_a_code(phone, citizen, login_page)
    assert phone.path == "/login/code"
    assert citizen.phone[:3] + "****" + citizen.phone[-4:] in await phone.text()
    await phone.fill(code=await login_page.code(citizen.phone))
    await phone.page.locator("main button:has-text('登录')").click()
    assert phone.path == "/"
    assert str(citizen.card["name"]) in await phone.text("h1")


async def test_a_wrong_captcha_keeps_what_was_typed(phone: Screen, citizen: Citizen) -> None:
    await phone.open("/login")
    await phone.fill(document_number=citizen.number, phone=citizen.phone, captcha="0000")
    await phone.press("获取动态密码")
    assert "请填写正确的验证码，验证码不区分大小写" in await phone.text(".summary")
    assert await phone.page.locator("#f-document_number").input_value() == citizen.number
    assert await phone.page.locator("#f-phone").input_value() == citizen.phone
    assert await phone.page.locator(".summary:focus").count() == 1


async def test_a_captcha_can_be_changed_magnified_and_heard(phone: Screen) -> None:
    await phone.open("/login")
    first = await phone.page.locator("input[name=captcha_id]").get_attribute("value")
    small = await phone.page.locator(".captcha").evaluate("image => image.naturalWidth")
    await phone.press("换一张")
    assert await phone.page.locator("input[name=captcha_id]").get_attribute("value") != first
    await phone.press("放大")
    assert await phone.page.locator(".captcha").evaluate("image => image.naturalWidth") >= 2 * small
    heard = await phone.page.locator("audio").get_attribute("src")
    answer = await phone.page.request.get(phone.base + str(heard))
    assert answer.headers["content-type"] == "audio/wav"


async def test_the_state_of_the_code_and_the_time_to_resend_update_automatically(
    desk: Screen, citizen: Citizen, login_page: LoginPage
) -> None:
    await desk.open("/login")
    await ask_for_a_code(desk, citizen, login_page)
    await desk.page.locator("button[disabled]:has-text('秒后可重新发送')").wait_for()
    await desk.page.locator("text=已送达手机").wait_for(timeout=30_000)


async def test_a_person_without_a_certificate_learns_how_to_get_one(
    phone: Screen, window: Window, login_page: LoginPage
) -> None:
    await phone.open("/login")
    await ask_for_a_code(phone, await window.registered(), login_page)
    assert "该证件号及手机号未申领个人数字证书，请先申领个人数字证书后再行登录" in await phone.text(".summary")
    assert "“微应用”-“电子签署”" in await phone.text()


async def test_a_wrong_code_shows_the_remaining_tries(phone: Screen, citizen: Citizen, login_page: LoginPage) -> None:
    await phone.open("/login")
    await ask_for_a_code(phone, citizen, login_page)
    wrong = another(await login_page.code(citizen.phone))
    await phone.fill(code=wrong)
    await phone.page.locator("main button:has-text('登录')").click()
    assert "动态密码错误，还可以再试4次" in await phone.text(".summary")
    assert "还可输入 4 次" in await phone.text()
    assert await phone.page.locator("#f-code").input_value() == wrong


async def test_without_remaining_tries_the_page_leads_to_a_new_code(
    phone: Screen, citizen: Citizen, login_page: LoginPage
) -> None:
    await phone.open("/login")
    await ask_for_a_code(phone, citizen, login_page)
    wrong = another(await login_page.code(citizen.phone))
    for _ in range(5):
        await phone.fill(code=wrong)
        await phone.page.locator("main button:has-text('登录')").click()
    assert "动态密码错误次数过多" in await phone.text(".summary")
    assert await phone.page.locator("#f-code").count() == 0
    await phone.picture("login-no-tries-left")
    await phone.press("重新获取动态密码")
    assert phone.path == "/login"


async def test_too_many_requests_are_explained_and_input_is_kept(
    phone: Screen, citizen: Citizen, login_page: LoginPage
) -> None:
    for _ in range(2):
        await phone.open("/login")
        await ask_for_a_code(phone, citizen, login_page)
    assert phone.path == "/login"
    assert await phone.page.locator(".summary").count() == 1
    assert await phone.page.locator("#f-document_number").input_value() == citizen.number
