"""Redis away: login is closed rather than unguarded, and who is logged in keeps working with their records."""

import httpx2

from tests.support.names import own_id
from tests.support.people import EDUCATION, OWN
from tests.support.problems import problem
from tests.support.processes import Processes
from tests.support.visits import LoginPage, Window
from tests.support.waiting import eventually


async def test_login_is_closed_and_records_go_on(
    gateway: httpx2.AsyncClient, window: Window, login_page: LoginPage, processes: Processes
) -> None:
    citizen = await window.enrolled()
    challenge = await login_page.challenge(citizen)
    code = await login_page.code(citizen.phone)
    session = await login_page.logged_in(await window.enrolled())
    await window.clerk.call("GET", "/api/identity/practitioners/me")  # logged in beforehand
    async with processes.down("redis"):
        closed = [
            await gateway.post("/api/identity/captchas"),
            await login_page.ask(citizen, captcha_id=own_id(), captcha_answer="AAAA"),
            await login_page.resend(challenge),
            await login_page.try_code(challenge, code),
            await session.refresh(),
            await session.call("DELETE", "/api/identity/sessions/current"),
            await window.clerk.try_to_log_in(password="x", totp="000000"),
            await gateway.post("/api/identity/oauth/token", data={"grant_type": "client_credentials"}, auth=("a", "b")),
        ]
        for answer in closed:
            problem(answer, 503, "unavailable", *citizen.secrets, code)
            assert int(answer.headers["Retry-After"]) > 0
        assert (await session.call("GET", "/api/identity/practitioners/me")).status_code == 200
        made = await session.call("POST", OWN, json={"kind": "education", "data": EDUCATION})
        assert made.status_code == 201
        assert (await session.call("GET", made.headers["Location"])).status_code == 200
        assert (await window.registered()).id

    async def open_again() -> bool:
        return (await gateway.post("/api/identity/captchas")).status_code == 201

    await eventually(open_again, 20, "the login page is open again", pause=0.2)
    assert (await login_page.where_is(challenge))["tries_left"] == 5
    assert (await login_page.try_code(challenge, code)).status_code == 201
