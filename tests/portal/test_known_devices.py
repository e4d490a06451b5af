"""Known devices: a person who has logged in on this browser before is not locked out by strangers who use up codes."""

from http.cookies import SimpleCookie

from tests.support.browsing import Browsing
from tests.support.identity_clients import LoginPage, Window

DEVICE = "__Host-device"


async def test_a_known_device_gets_a_code_after_a_stranger_requested_one(window: Window, login_page: LoginPage) -> None:
    citizen, browsing = await window.enrolled(), Browsing(login_page.http)
    answer = await browsing.log_in(citizen, login_page)
    [line] = [line for line in answer.headers.get_list("set-cookie") if line.startswith(DEVICE)]
    given = SimpleCookie(line)[DEVICE]
    assert (given["httponly"], given["secure"], given["samesite"], given["path"]) == (True, True, "lax", "/")
    assert int(given["max-age"]) == 180 * 24 * 3600
    await browsing.submit("/logout", "/")
    assert browsing.cookies.keys() == {DEVICE}, "logged out, it is known all the same"
    await login_page.forget_limits(citizen)
    await login_page.challenge(citizen)  # the stranger has used this minute's code
    await login_page.code(citizen.phone, 2)
    assert (await Browsing(login_page.http).ask_code(citizen, login_page)).status_code == 429
    assert (await browsing.log_in(citizen, login_page)).headers.get("location") == "/"
    assert browsing.cookies[DEVICE] == given.value

    answer = await browsing.submit("/account/sessions/end", "/account/sessions")
    assert answer.headers["location"] == "/account/sessions?note=ended_others"
    assert "其他设备均已退出登录" in (await browsing.get(answer.headers["location"])).text
    await browsing.submit("/logout", "/")
    await login_page.forget_limits(citizen)
    await login_page.challenge(citizen)
    assert (await browsing.ask_code(citizen, login_page)).status_code == 303, "this one is known, still"
