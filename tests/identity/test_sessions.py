"""Sessions: people see and end their own; they expire; a change of keys does not end them."""

import json
from datetime import timedelta

import pytest
from joserfc.jwk import OKPKey

from kit.core.clock import ManualClock
from tests.support.identity_clients import LoginPage, Session, Window, bearer, just_now
from tests.support.names import own_id
from tests.support.own_services import identity
from tests.support.problems import problem
from tests.support.stack import RunningStack

SESSIONS = "/api/identity/sessions"
ME = "/api/identity/practitioners/me"


async def test_a_person_sees_their_sessions_and_ends_one(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    phone = await login_page.logged_in(citizen)
    await login_page.forget_limits(citizen)
    challenge = await login_page.challenge(citizen)
    response = await login_page.http.post(
        "/api/identity/login/sessions",
        json={"challenge_id": challenge, "code": await login_page.code(citizen.phone, count=2)},
        headers={"User-Agent": "office browser"},
    )
    office = Session(login_page.http, response.json())
    listed = (await phone.call("GET", SESSIONS)).json()["items"]
    assert [(item["current"], just_now(item["used_at"])) for item in listed] == [(False, True), (True, True)]
    assert all(item["address"] == "127.0.0.1" for item in listed)
    assert listed[0]["device"] == "office browser"
    assert (await phone.call("DELETE", f"{SESSIONS}/{listed[0]['session_id']}")).status_code == 204
    problem(await office.refresh(), 401, "refresh_invalid")
    assert (await phone.refresh()).status_code == 200
    assert len((await phone.call("GET", SESSIONS)).json()["items"]) == 1


async def test_a_session_of_another_person_cannot_be_ended(window: Window, login_page: LoginPage) -> None:
    mine, theirs = [await login_page.logged_in(await window.enrolled()) for _ in range(2)]
    session_id = (await theirs.call("GET", SESSIONS)).json()["items"][0]["session_id"]
    for path in (f"{SESSIONS}/{session_id}", f"{SESSIONS}/{own_id()}"):
        problem(await mine.call("DELETE", path), 404, "not_found")
    assert (await theirs.refresh()).status_code == 200


async def test_an_unused_session_ends(
    stack: RunningStack, window: Window, login_page: LoginPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, session = ManualClock(), await login_page.logged_in(await window.enrolled())
    async with identity(stack, monkeypatch, clock) as http:
        clock.advance(timedelta(hours=1, minutes=59))
        tokens = (await Session(http, session.tokens).refresh()).raise_for_status().json()
        clock.advance(timedelta(hours=2, seconds=1))
        problem(await Session(http, tokens).refresh(), 401, "refresh_invalid")


async def test_no_session_lasts_longer_than_a_working_day(
    stack: RunningStack, window: Window, login_page: LoginPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, refreshed = await login_page.logged_in(await window.enrolled()), 0
    clock = ManualClock()
    async with identity(stack, monkeypatch, clock) as http:
        tokens = session.tokens
        while True:
            clock.advance(timedelta(hours=1))
            answer = await Session(http, tokens).refresh()
            if answer.status_code != 200:
                break
            tokens, refreshed = answer.json(), refreshed + 1
        problem(answer, 401, "refresh_invalid")
    assert refreshed == 11


async def test_changing_keys_logs_nobody_out(
    stack: RunningStack, window: Window, login_page: LoginPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await login_page.logged_in(await window.enrolled())
    old = json.loads(stack.environment("identity-api")["SIGNING__KEYS"])
    new = {**OKPKey.generate_key("Ed25519").as_dict(private=True), "kid": "next"}
    async with identity(stack, monkeypatch, settings={"SIGNING__KEYS": json.dumps([new, *old])}) as http:
        assert (await http.get(ME, headers=bearer(session.tokens["access_token"]))).status_code == 200
        renewed = (await Session(http, session.tokens).refresh()).raise_for_status().json()
        assert (await http.get(ME, headers=bearer(renewed["access_token"]))).status_code == 200
        problem(await session.call("GET", ME, headers=bearer(renewed["access_token"])), 401, "unauthorized")
