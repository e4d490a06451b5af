"""Portal sessions: cookies, fixation, refresh, end; and the security headers of every response."""

import asyncio
from collections.abc import Callable

import pytest

from tests.support.browsing import COOKIE, Browsing
from tests.support.identity_clients import LoginPage, Window
from tests.support.portal import Member, NewMember, end_session, let_token_run_out
from tests.support.stack import RunningStack

Nobody = Callable[[], Browsing]
ADDRESSES = ("/login", "/help", "/nothing", "/file/basic", "/static/style.css", "/static/nothing.css", "/records/1")
ELSEWHERE = (
    "https://evil.example/", "//evil.example/", "/\\evil.example/", "\\\\evil.example", "http:evil.example",
    "/\r\nLocation:https://evil.example", "javascript:alert(1)", "///evil.example", "/\t/evil.example",
)  # fmt: skip


@pytest.mark.parametrize("path", ADDRESSES)
async def test_every_response_has_the_security_headers(nobody: Nobody, path: str) -> None:
    headers = (await nobody().get(path)).headers
    policy = {part.split()[0]: part.split()[1:] for part in headers["content-security-policy"].split(";")}
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == ["'self'"]
    assert policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


async def test_pages_are_not_cached_and_static_files_are_immutable(shared: Member) -> None:
    page = await shared.browsing.get("/file/basic")
    assert page.headers["cache-control"] == "no-store"
    style = page.text.split('rel="stylesheet" href="')[1].split('"')[0]
    assert "immutable" in (await shared.browsing.get(style)).headers["cache-control"]
    assert "immutable" not in (await shared.browsing.get("/static/style.css?v=old")).headers["cache-control"]


async def test_no_page_has_inline_scripts_or_styles(shared: Member) -> None:
    for path in ("/", "/file/education", "/file/education/new", "/file/signature", "/account/sessions", "/help"):
        text = (await shared.browsing.get(path)).text
        assert "<style" not in text
        assert " style=" not in text
        assert all("src=" in tag.split(">")[0] for tag in text.split("<script")[1:])


async def test_the_cookie_is_httponly_samesite_and_secure(nobody: Nobody) -> None:
    line = (await nobody().get("/login")).headers["set-cookie"]
    name, *flags = (part.strip().lower() for part in line.split(";"))
    assert name.startswith("__host-portal=")
    assert len(name.partition("=")[2]) >= 43
    assert {"httponly", "secure", "samesite=lax", "path=/"} == set(flags)


async def test_logging_in_replaces_the_cookie(nobody: Nobody, window: Window, login_page: LoginPage) -> None:
    victim, attacker = nobody(), nobody()
    await attacker.get("/login")
    victim.cookies = dict(attacker.cookies)
    response = await victim.log_in(await window.enrolled(), login_page)
    assert response.status_code == 303
    assert victim.cookies[COOKIE] != attacker.cookies[COOKIE]
    assert (await victim.get("/file/basic")).status_code == 200
    assert (await attacker.get("/file/basic")).status_code == 303


async def test_after_logging_out_the_cookie_is_invalid(member: Member) -> None:
    before = dict(member.browsing.cookies)
    response = await member.browsing.submit("/logout", "/")
    assert response.headers["location"] == "/login?note=out"
    assert COOKIE not in member.browsing.cookies
    member.browsing.cookies = before
    response = await member.browsing.get("/file/basic")
    assert response.headers["location"] == "/login?next=/file/basic&why=logged_out"


async def test_an_expired_token_is_refreshed_once_for_concurrent_pages(stack: RunningStack, member: Member) -> None:
    for _ in range(2):
        await let_token_run_out(stack, member.browsing)
        answers = await asyncio.gather(*(member.browsing.get("/file/basic") for _ in range(10)))
        assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize("place", ELSEWHERE)
async def test_no_log_in_redirects_to_another_site(nobody: Nobody, place: str) -> None:
    browsing = nobody()
    page = await browsing.ask("GET", "/login", params={"next": place})
    assert 'name="next" value="/"' in page.text
    response = await browsing.submit("/large", "/login", next=place)
    assert response.headers["location"] == "/"


async def test_a_log_in_redirects_to_the_requested_page(
    stack: RunningStack, new_member: NewMember, login_page: LoginPage
) -> None:
    member = await new_member()
    await end_session(stack, member.browsing)
    response = await member.browsing.get("/file/title?page=2")
    assert response.headers["location"] == "/login?next=/file/title%3Fpage%3D2&note=over"
    await login_page.forget_limits(member.citizen)
    response = await member.browsing.log_in(member.citizen, login_page, "/file/title%3Fpage%3D2")
    assert response.headers["location"] == "/file/title?page=2"


async def test_a_code_requested_too_soon_is_refused_with_the_time_to_wait(
    nobody: Nobody, window: Window, login_page: LoginPage
) -> None:
    browsing, citizen = nobody(), await window.enrolled()
    await browsing.ask_code(citizen, login_page)
    for again in (await browsing.submit("/login/code", action="resend"), await browsing.ask_code(citizen, login_page)):
        assert again.status_code == 429
        wait = again.headers["retry-after"]
        said = "1 分钟" if wait == "60" else f"{wait} 秒"
        assert f"动态密码发送过于频繁（已收到的在有效期内仍可使用），请在 {said}后再试" in again.text
