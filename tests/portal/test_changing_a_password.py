"""A member of staff changes the password in the portal; a password set by an admin must be changed first."""

from services.identity.accounts.domain import staff_id
from services.identity.wiring.shared import Dependencies
from tests.support.browsing import COOKIE, Browsing
from tests.support.identity_clients import Staff
from tests.support.staffing import PASSWORD, Hire, log_in

PAGE = "/staff/password"
BETTER = "一句很长也很好记住的话 2026"


async def change(browsing: Browsing, totp: str, **changes: str) -> tuple[int, str]:
    typed = {"password": PASSWORD, "totp": totp, "new_password": BETTER, "again": BETTER} | changes
    response = await browsing.submit(PAGE, PAGE, **typed)
    return response.status_code, response.headers.get("location", "") or response.text


async def test_the_password_is_changed_and_this_browser_stays_logged_in(browsing: Browsing, hire: Hire) -> None:
    clerk = await hire("clerk")
    await log_in(browsing, clerk)
    assert f'href="{PAGE}"' in (await browsing.get("/staff/find")).text
    cookie = browsing.cookies[COOKIE]
    for changes, sentence in (
        ({"again": "another one"}, "两次填写的新密码不一致"),
        ({"new_password": "short", "again": "short"}, "密码至少12个字符"),
        ({"password": "wrong"}, "原密码或动态口令不正确"),
    ):
        status, text = await change(browsing, clerk.next_code(), **changes)
        assert (status in (403, 422), sentence in text) == (True, True), text
        assert BETTER not in text
    assert await change(browsing, clerk.next_code()) == (303, f"{PAGE}?note=password_saved")
    assert browsing.cookies[COOKIE] != cookie
    assert "密码已修改" in (await browsing.get(f"{PAGE}?note=password_saved")).text
    assert (await browsing.get("/staff/find")).status_code == 200


async def test_another_browser_is_logged_out_with_the_reason(
    hire: Hire, browsing: Browsing, inside: Dependencies
) -> None:
    clerk = await hire("clerk")
    await log_in(browsing, clerk)
    await inside.services.staff.switch(staff_id(clerk.login["username"]), "test", enabled=False)
    answer = await browsing.get("/staff/find")
    assert answer.headers["location"] == "/staff/login?next=/staff/find&why=staff_disabled"
    assert "您的账号已停用" in (await browsing.get(answer.headers["location"])).text


async def test_a_password_set_by_an_admin_leads_to_the_change_page_first(
    hire: Hire, browsing: Browsing, inside: Dependencies
) -> None:
    clerk = await hire("clerk")
    made = await inside.services.staff.replace_credentials(
        staff_id(clerk.login["username"]), "test", password=True, totp=True, passkeys=True
    )
    again = Staff(clerk.http, clerk.login | {"password": made.password or "", "totp_secret": made.totp_secret or ""})
    assert (await log_in(browsing, again)).headers["location"] == f"{PAGE}?note=password_made"
    assert "请先设置自己的密码" in (await browsing.get(f"{PAGE}?note=password_made")).text
    assert (await browsing.get("/staff")).headers["location"] == f"{PAGE}?note=password_made"
    assert (await browsing.get("/staff/find")).status_code == 404
    status, location = await change(browsing, again.next_code(), password=again.login["password"])
    assert (status, location) == (303, f"{PAGE}?note=password_saved")
    assert (await browsing.get("/staff")).headers["location"] == "/staff/find"
