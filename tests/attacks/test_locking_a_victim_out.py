"""An attacker who knows a person's number and phone uses up their codes: the person still logs in on known devices."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from deploy.local.people import random_phone
from tests.attacks.conftest import IdentityApi
from tests.support.identity_clients import Citizen, LoginPage, Session, Window, another
from tests.support.problems import problem, retry_after_seconds

LoginFrom = Callable[[httpx2.AsyncClient], LoginPage]
HOME, STRANGE = "203.0.113.7", "198.51.100.1"
SESSIONS = "/api/identity/sessions"


async def log_in(page: LoginPage, challenge: str, code: str, token: str = "") -> dict[str, Any]:
    """The response to a successful log-in."""
    body = {"challenge_id": challenge, "code": code} | ({"device_token": token} if token else {})
    answer = await page.http.post("/api/identity/login/sessions", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def logged_in(page: LoginPage, citizen: Citizen, own_redis: Redis, token: str = "") -> dict[str, Any]:
    """Logs in with a current code; the counters are removed afterwards, as after a day."""
    before = len(await page.messages(citizen.phone))
    asked = await page.ask(citizen, **({"device_token": token} if token else {}))
    assert asked.status_code == 202, asked.text
    code = await page.code(citizen.phone, before + 1)
    answer = await log_in(page, asked.json()["challenge_id"], code, token)
    await own_redis.flushdb()
    return answer


async def burn(page: LoginPage, citizen: Citizen) -> int:
    """Uses up every code and every try of a stranger. Returns the number of codes sent."""
    for sent in range(20):
        asked = await page.ask(citizen)
        if asked.status_code == 429:
            return sent
        challenge = asked.json()["challenge_id"]
        for _ in range(5):
            problem(await page.try_code(challenge, "000000"), 401, "code_wrong")
        problem(await page.try_code(challenge, "000000"), 410, "code_expired")
    raise AssertionError("the stranger was never stopped")


async def test_after_a_stranger_used_up_every_code_the_person_logs_in_on_a_known_device(
    identity_api: IdentityApi, window: Window, login_from: LoginFrom, own_redis: Redis
) -> None:
    citizen = await window.enrolled()
    async with identity_api(codes_per_minute=99, codes_per_day=3) as from_:
        home, strange = login_from(from_(HOME)), login_from(from_(STRANGE))
        token = (await logged_in(home, citizen, own_redis))["device_token"]
        asked = await home.ask(citizen, device_token=token)
        own, code = asked.json()["challenge_id"], await home.code(citizen.phone, 2)
        assert await burn(strange, citizen) == 3
        retry_after_seconds(await home.ask(citizen), *citizen.secrets)
        assert (await home.where_is(own))["tries_left"] == 5
        again = await home.ask(citizen, device_token=token)
        assert (again.status_code, again.json()["challenge_id"]) == (202, own)
        assert (await log_in(home, own, code, token))["device_token"] == token


async def test_an_invented_or_foreign_device_token_is_ignored(
    identity_api: IdentityApi, window: Window, login_from: LoginFrom, own_redis: Redis
) -> None:
    citizen, stranger = await window.enrolled(), await window.enrolled()
    async with identity_api(codes_per_day=1) as from_:
        home, strange = login_from(from_(HOME)), login_from(from_(STRANGE))
        token = (await logged_in(home, citizen, own_redis))["device_token"]
        theirs = (await logged_in(strange, stranger, own_redis))["device_token"]
        assert await burn(strange, citizen) == 1
        for worthless in (theirs, "x" * 43, f"{token[:-1]}{'A' if token[-1] != 'A' else 'B'}", "", "x" * 64):
            retry_after_seconds(await strange.ask(citizen, device_token=worthless))
        problem(await strange.ask(citizen, device_token="x" * 65), 422, "invalid_fields")
        assert (await home.ask(citizen, device_token=token)).status_code == 202


async def test_a_stolen_device_token_gives_tries_but_no_log_in(
    identity_api: IdentityApi, window: Window, login_from: LoginFrom, own_redis: Redis
) -> None:
    citizen = await window.enrolled()
    async with identity_api(codes_per_day=1, not_enrolled_per_hour=2) as from_:
        home, thief = login_from(from_(HOME)), login_from(from_(STRANGE))
        token = (await logged_in(home, citizen, own_redis))["device_token"]
        for _ in range(2):
            problem(await thief.ask(citizen, device_token=token, phone=random_phone()), 403, "not_enrolled")
        retry_after_seconds(await thief.ask(citizen, device_token=token))  # in any network
        assert (await login_from(from_(STRANGE)).ask(citizen)).status_code == 202
        await own_redis.flushdb()
        challenge = (await thief.ask(citizen, device_token=token)).json()["challenge_id"]
        for left in (4, 3, 2, 1, 0):
            body = {"challenge_id": challenge, "code": "000000", "device_token": token}
            refused = await thief.http.post("/api/identity/login/sessions", json=body)
            assert problem(refused, 401, "code_wrong")["tries_left"] == left
        retry_after_seconds(await thief.ask(citizen, device_token=token))
        assert (await home.ask(citizen)).status_code == 202, "the person has the public code, still"


@pytest.mark.parametrize("by", ["ending all others", "ending its session", "another phone"])
async def test_a_device_is_forgotten(
    identity_api: IdentityApi, window: Window, login_from: LoginFrom, own_redis: Redis, by: str
) -> None:
    citizen = await window.enrolled()
    async with identity_api(codes_per_day=1) as from_:
        home = login_from(from_(HOME))
        lost = await logged_in(home, citizen, own_redis)
        here = await logged_in(home, citizen, own_redis)
        assert here["device_token"] != lost["device_token"], "another device: it showed no token"
        session = Session(home.http, here)
        if by == "another phone":
            citizen.phone, old = random_phone(), citizen.phone
            assert old != citizen.phone
            assert (await window.rebind(citizen, citizen.phone)).status_code == 200
        else:
            path = SESSIONS if by == "ending all others" else f"{SESSIONS}/{lost['session_id']}"
            assert (await session.call("DELETE", path)).status_code == 204
            assert (await session.call("GET", SESSIONS)).json()["items"][0]["current"]
        await own_redis.flushdb()
        assert (await home.ask(citizen)).status_code == 202
        retry_after_seconds(await home.ask(citizen, device_token=lost["device_token"]))
        kept = await home.ask(citizen, device_token=here["device_token"])
        assert kept.status_code == (429 if by == "another phone" else 202)


async def test_ending_an_old_session_of_this_device_does_not_forget_it(
    identity_api: IdentityApi, window: Window, login_from: LoginFrom, own_redis: Redis
) -> None:
    citizen = await window.enrolled()
    async with identity_api(codes_per_day=1) as from_:
        home = login_from(from_(HOME))
        old = await logged_in(home, citizen, own_redis)
        token = old["device_token"]
        session = Session(home.http, await logged_in(home, citizen, own_redis, token))
        assert (await session.call("DELETE", f"{SESSIONS}/{old['session_id']}")).status_code == 204
        assert await burn(login_from(from_(STRANGE)), citizen) == 1
        assert (await home.ask(citizen, device_token=token)).status_code == 202


async def test_a_family_has_one_computer(
    identity_api: IdentityApi, window: Window, login_from: LoginFrom, own_redis: Redis
) -> None:
    mother, son = await window.enrolled(), await window.enrolled()
    async with identity_api(codes_per_day=1) as from_:
        home = login_from(from_(HOME))
        token = (await logged_in(home, mother, own_redis))["device_token"]
        assert (await logged_in(home, son, own_redis, token))["device_token"] == token
        for one in (mother, son):
            assert await burn(login_from(from_(STRANGE)), one) == 1
            assert (await home.ask(one, device_token=token)).status_code == 202


async def test_wrong_codes_in_a_row_raise_an_alarm_and_slow_guessing(
    identity_api: IdentityApi, window: Window, login_from: LoginFrom, own_redis: Redis
) -> None:
    citizen = await window.enrolled()
    async with identity_api(wrong_codes_in_a_row=10, codes_per_minute=99, codes_per_hour=99, codes_per_day=99) as from_:
        home, strange = login_from(from_(HOME)), login_from(from_(STRANGE))
        token, before = (await logged_in(home, citizen, own_redis))["device_token"], alarms()
        assert await burn(strange, citizen) == 2
        assert alarms() == before + 1
        assert 3000 < retry_after_seconds(await strange.ask(citizen), *citizen.secrets) <= 3600
        assert (await home.ask(citizen, device_token=token)).status_code == 202
        assert (await window.revoke(citizen)).status_code == 204
        assert (await window.issue(citizen)).status_code == 201
        answer = await home.ask(citizen)
        assert answer.status_code == 202, "at the window it was the person themselves"


async def test_a_right_code_ends_the_row(
    identity_api: IdentityApi, window: Window, login_from: LoginFrom, own_redis: Redis
) -> None:
    citizen = await window.enrolled()
    async with identity_api(wrong_codes_in_a_row=5, codes_per_minute=99, codes_per_hour=99) as from_:
        home = login_from(from_(HOME))
        for count in (1, 2):
            challenge = (await home.ask(citizen)).json()["challenge_id"]
            code = await home.code(citizen.phone, count)
            for _ in range(4):
                problem(await home.try_code(challenge, another(code)), 401, "code_wrong")
            await log_in(home, challenge, code)
        assert (await home.ask(citizen)).status_code == 202


def alarms() -> float:
    labels = {"event": "code_guessing", "outcome": "noticed", "cause": "login"}
    return REGISTRY.get_sample_value("security_events_total", labels) or 0
