"""A session that ended elsewhere is refused at the next request of any page; the login page shows the reason."""

from collections.abc import Callable
from datetime import timedelta

from contracts.sessions import SENTENCES
from deploy.local.people import random_phone
from kit import mongo
from kit.core.clock import SystemClock
from services.identity.store import Store
from services.identity.wiring.shared import Dependencies
from tests.support.browsing import Browsing, hidden_of
from tests.support.identity_clients import LoginPage, Window
from tests.support.people import EDUCATION
from tests.support.portal import Member, let_token_run_out
from tests.support.stack import RunningStack
from tests.support.staffing import PASSWORD, Hire, log_in
from tests.support.waiting import eventually

Nobody = Callable[[], Browsing]
NEW = "/file/education/new"
ASKS_NO_SERVICE = "/account/sessions/00000000-0000-4000-8000-000000000000/end"


async def sent_to_login(browsing: Browsing, path: str) -> str:
    """The redirect to the login page, within a second."""

    async def sent() -> str:
        location = (await browsing.get(path)).headers.get("location", "")
        return location if "/login?" in location else ""

    return await eventually(sent, 1, f"{path} is closed", pause=0.02)


async def out(browsing: Browsing, path: str, reason: str) -> None:
    """Checks that the browser is at the login page with the reason, and stays logged out."""
    login = "/staff/login" if path.startswith("/staff") else "/login"
    location = await sent_to_login(browsing, path)
    assert location == f"{login}?next={path}&why={reason}"
    assert f"{SENTENCES[reason]}。" in (await browsing.get(location)).text
    assert (await browsing.get(path)).headers["location"] == location
    assert "安全退出" not in (await browsing.get("/help")).text


async def test_revoking_the_certificate_ends_the_browser_session(window: Window, member: Member) -> None:
    assert (await member.browsing.get("/file/basic")).status_code == 200
    assert (await window.revoke(member.citizen)).status_code == 204
    await out(member.browsing, ASKS_NO_SERVICE, "certificate_revoked")
    await out(member.browsing, "/", "certificate_revoked")


async def test_a_log_out_from_another_device_is_explained(
    member: Member, login_page: LoginPage, nobody: Nobody
) -> None:
    await login_page.forget_limits(member.citizen)
    other = nobody()
    await other.log_in(member.citizen, login_page)
    page = (await member.browsing.get("/account/sessions")).text
    assert page.count("退出登录</button>") == 1
    action = page.split('action="/account/sessions/')[1].split('"')[0]
    response = await member.browsing.submit(f"/account/sessions/{action}", "/account/sessions")
    assert response.headers["location"] == "/account/sessions?note=ended"
    await out(other, "/file/basic", "ended_elsewhere")
    assert (await member.browsing.get("/file/basic")).status_code == 200


async def test_input_is_kept_when_a_rebinding_ends_the_session(
    window: Window, member: Member, login_page: LoginPage
) -> None:
    form = hidden_of((await member.browsing.get(NEW)).text, NEW) | EDUCATION | {"school": "很长时间才填完的学校"}
    citizen = member.citizen
    phone = random_phone()
    assert (await window.rebind(citizen, phone)).status_code == 200
    await sent_to_login(member.browsing, ASKS_NO_SERVICE)
    answer = await member.browsing.ask("POST", NEW, data=form)
    assert answer.headers["location"] == f"/login?next={NEW}&why=phone_changed&note=kept"
    page = (await member.browsing.get(answer.headers["location"])).text
    assert SENTENCES["phone_changed"] in page
    assert "您刚才填写的内容已保留" in page
    citizen.phone = phone
    await login_page.forget_limits(citizen)
    assert (await member.browsing.log_in(citizen, login_page, NEW)).headers["location"] == NEW
    assert 'value="很长时间才填完的学校"' in (await member.browsing.get(NEW)).text


async def test_the_end_of_an_unused_session_is_explained(stack: RunningStack, member: Member) -> None:
    async with mongo.connect(stack.mongo, "identity") as database:
        sessions, now = Store(database).sessions, SystemClock().now()
        [found] = await sessions.find_with_history({"subject": member.citizen.id})
        run_out = found.refreshed(found.secret_hash, now - timedelta(seconds=1), None, at=now)
        await sessions.replace(run_out)
    await let_token_run_out(stack, member.browsing)
    await out(member.browsing, "/file/basic", "idle")


async def test_a_change_of_roles_is_explained(hire: Hire, browsing: Browsing, inside: Dependencies) -> None:
    clerk = await hire("clerk")
    await log_in(browsing, clerk)
    assert (await browsing.get("/staff/find")).status_code == 200
    username, secret = clerk.login["username"], clerk.login["totp_secret"]
    await inside.services.staff.save(username, PASSWORD, secret, ["operator"])
    await out(browsing, "/staff/find", "staff_changed")
