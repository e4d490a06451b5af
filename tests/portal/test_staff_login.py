"""Staff in the portal: how they log in, and which pages they can open."""

import pytest

from tests.support.browsing import COOKIE, Browsing, hidden_of
from tests.support.names import own_id
from tests.support.portal import Member, end_session
from tests.support.stack import RunningStack
from tests.support.staffing import Desk, Hire, attend, log_in

SOMEBODY = own_id()
CLERKS = (
    "/staff/find", "/staff/register", "/staff/register/card", "/staff/register/passport",
    f"/staff/people/{SOMEBODY}/reason",
)  # fmt: skip
OPERATORS = ("/operators", "/operators/state", "/operators/messages", "/operators/letters/identity.access")
PRACTITIONERS = ("/", "/file/basic", "/file/education", "/account/sessions", "/portrait")


async def test_a_member_of_staff_logs_in_and_the_cookie_is_a_new_one(browsing: Browsing, hire: Hire) -> None:
    await browsing.get("/staff/login")
    before = dict(browsing.cookies)
    clerk = await hire("clerk")
    response = await log_in(browsing, clerk)
    assert response.headers["location"] == "/staff"
    assert browsing.cookies[COOKIE] != before[COOKIE]
    assert (await browsing.get("/staff")).headers["location"] == "/staff/find"
    assert clerk.login["username"] in (await browsing.get("/staff/find")).text
    assert (await browsing.get("/staff/login")).headers["location"] == "/staff"
    browsing.cookies = before
    assert (await browsing.get("/staff/find")).headers["location"] == "/staff/login?next=/staff/find&note=over"


async def test_a_first_visit_shows_no_message_about_an_ended_session(browsing: Browsing) -> None:
    assert (await browsing.get("/staff")).headers["location"] == "/staff/login?next=/staff"
    assert (await browsing.get("/operators/messages")).headers["location"] == "/staff/login?next=/operators/messages"


@pytest.mark.parametrize("change", [{"password": "wrong"}, {"username": "nobody-at-all"}])
async def test_every_refusal_has_the_same_text_and_shows_no_secret(
    browsing: Browsing, hire: Hire, change: dict[str, str]
) -> None:
    clerk = await hire("clerk")
    response = await log_in(browsing, clerk, **change)
    assert response.status_code == 401
    assert "用户名、密码或动态口令不正确" in response.text
    assert clerk.login["password"] not in response.text
    assert 'value="wrong"' not in response.text


async def test_a_guesser_is_refused_with_the_time_to_wait(browsing: Browsing, hire: Hire) -> None:
    clerk = await hire("clerk")
    answers = [await log_in(browsing, clerk, password="wrong") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    wait = answers[-1].headers["retry-after"]
    assert f"操作过于频繁，请在 {wait} 秒后再试" in answers[-1].text


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "/file/basic", "/\\evil.example"])
async def test_the_log_in_leads_to_pages_of_staff_only(browsing: Browsing, hire: Hire, elsewhere: str) -> None:
    response = await log_in(browsing, await hire("clerk"), elsewhere)
    assert response.headers["location"] == "/staff"


async def test_after_logging_out_no_page_opens(desk_of: Desk) -> None:
    browsing = await desk_of("clerk")
    before = dict(browsing.cookies)
    response = await browsing.submit("/logout", "/staff/find")
    assert response.headers["location"] == "/staff/login?note=out"
    browsing.cookies = before
    assert (await browsing.get("/staff/find")).status_code == 303


async def test_pages_of_other_roles_are_not_found(desk_of: Desk, member: Member) -> None:
    clerk, operator, admin = await desk_of("clerk"), await desk_of("operator"), await desk_of("admin")
    assert (await operator.get("/staff")).headers["location"] == "/operators"
    for path in CLERKS:
        assert [(await each.get(path)).status_code for each in (clerk, admin)] == [200, 200], path
        assert [(await each.get(path)).status_code for each in (operator, member.browsing)] == [404, 404], path
    for path in OPERATORS[:3]:
        assert [(await each.get(path)).status_code for each in (operator, admin)] == [200, 200], path
    for path in OPERATORS:
        assert [(await each.get(path)).status_code for each in (clerk, member.browsing)] == [404, 404], path
    for path in PRACTITIONERS:
        assert [(await each.get(path)).status_code for each in (clerk, operator, admin)] == [404] * 3, path


async def test_strangers_are_redirected_to_the_staff_log_in(browsing: Browsing) -> None:
    for path in (*CLERKS, *OPERATORS, "/staff"):
        assert (await browsing.get(path)).headers["location"].startswith(f"/staff/login?next={path}"), path


async def test_forms_of_other_pages_people_and_sites_are_refused(desk_of: Desk, member: Member) -> None:
    clerk, other = await desk_of("clerk"), await desk_of("clerk")
    paths = ("/staff/find", f"/staff/people/{member.citizen.id}/certificate/revoke", "/staff/register/passport")
    await attend(clerk, member.citizen.id)
    foreign = await other.csrf("/staff/find")
    for path in paths:
        for csrf in ("", "nothing", foreign):
            response = await clerk.ask("POST", path, data={"csrf": csrf, "step": "confirmed"})
            assert response.status_code == 403, path
            assert "页面已过期" in response.text


async def test_input_is_restored_after_the_session_ended(hire: Hire, browsing: Browsing, stack: RunningStack) -> None:
    clerk = await hire("clerk")
    await log_in(browsing, clerk)
    path = "/staff/register/passport"
    token = hidden_of((await browsing.get(path)).text, path)["csrf"]
    await end_session(stack, browsing)
    typed = {"csrf": token, "name": "MARTIN CLAIRE", "document_number": "X1234567"}
    response = await browsing.ask("POST", path, data=typed)
    assert response.headers["location"] == f"/staff/login?next={path}&note=kept"
    response = await log_in(browsing, clerk, path, totp=clerk.next_code())
    assert response.headers["location"] == path
    assert "MARTIN CLAIRE" in (await browsing.get(path)).text
