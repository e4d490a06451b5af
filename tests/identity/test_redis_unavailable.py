"""Redis unavailable: no code is sent without rate limits; existing codes and sessions continue to work."""

import httpx2

from tests.support.identity_clients import LoginPage, Session, Window, another
from tests.support.names import own_id
from tests.support.people import EDUCATION, OWN
from tests.support.problems import problem
from tests.support.processes import Processes
from tests.support.waiting import eventually


async def test_no_code_is_sent_and_everything_else_works(
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
        problem(await login_page.try_code(challenge, another(code)), 401, "code_wrong", code)
        assert (await login_page.try_code(challenge, code)).status_code == 201
        problem(await login_page.try_code(challenge, code), 410, "code_expired", code)
        following = Session(gateway, (await session.refresh()).json())
        assert (await following.call("DELETE", "/api/identity/sessions/current")).status_code == 204
        problem(await following.refresh(), 401, "refresh_invalid")

    async def open_again() -> bool:
        return (await gateway.post("/api/identity/captchas")).status_code == 201

    await eventually(open_again, 20, "the login page is open again", pause=0.2)
