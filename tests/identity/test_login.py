"""The login page: captcha, SMS code, session; and its defences against guessing."""

from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from deploy.local.people import random_phone
from kit.core.clock import ManualClock
from tests.support.identity_clients import Citizen, LoginPage, Session, Window, another, at_once
from tests.support.names import own_id
from tests.support.own_services import identity
from tests.support.problems import fields_of, problem, retry_after_seconds
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

NOT_ENROLLED = "该证件号及手机号未申领个人数字证书，请先申领个人数字证书后再行登录"
ME = "/api/identity/practitioners/me"


async def test_a_person_without_a_certificate_is_referred_to_the_window(window: Window, login_page: LoginPage) -> None:
    stranger, registered, enrolled = Citizen(), await window.registered(), await window.enrolled()
    revoked = await window.enrolled()
    await window.revoke(revoked)
    other_phone = Citizen(enrolled.card, random_phone())
    bodies = [
        problem(await login_page.ask(citizen), 403, "not_enrolled", *citizen.secrets)
        for citizen in (stranger, registered, revoked, other_phone)
    ]
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0]["detail"] == NOT_ENROLLED


async def test_a_code_logs_in(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    asked = await login_page.ask(citizen)
    accepted = asked.json()
    assert asked.status_code == 202
    assert accepted["phone_hint"] == f"{citizen.phone[:3]}****{citizen.phone[-4:]}"
    code = await login_page.code(citizen.phone)
    assert code not in asked.text

    async def sent() -> bool:
        return bool((await login_page.where_is(accepted["challenge_id"]))["state"] == "delivered")

    await eventually(sent, 15, "the code is known to be sent")
    where = await login_page.where_is(accepted["challenge_id"])
    assert where == {
        "state": "delivered",
        "tries_left": 5,
        "resend_at": accepted["resend_at"],
        "expires_at": accepted["expires_at"],
    }
    lifetime = datetime.fromisoformat(accepted["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=58) < lifetime <= timedelta(hours=24)
    response = await login_page.try_code(accepted["challenge_id"], code)
    session = response.json()
    assert response.status_code == 201
    assert (session["token_type"], session["practitioner_id"]) == ("Bearer", citizen.id)
    assert 0 < session["expires_in"] <= 300
    assert (await login_page.where_is(accepted["challenge_id"]))["state"] == "used"


async def test_a_number_may_be_typed_in_full_width(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    typed = citizen.number.translate({ord("0") + digit: ord("０") + digit for digit in range(10)}).lower()
    assert (await login_page.ask(citizen, document_number=typed, phone=f"+86 {citizen.phone}")).status_code == 202


async def test_a_code_can_be_requested_once_a_minute(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    challenge = await login_page.challenge(citizen)
    for answer in (await login_page.ask(citizen), await login_page.resend(challenge)):
        assert 1 <= retry_after_seconds(answer, *citizen.secrets) <= 60


async def test_resending_sends_the_same_code_and_keeps_its_tries(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    challenge = await login_page.challenge(citizen)
    code = await login_page.code(citizen.phone)
    await login_page.try_code(challenge, another(code))
    await login_page.forget_limits(citizen)
    again = await login_page.resend(challenge)
    assert (again.status_code, again.json()["challenge_id"]) == (202, challenge)
    assert await login_page.code(citizen.phone, count=2) == code
    await login_page.forget_limits(citizen)
    assert (await login_page.ask(citizen)).json()["challenge_id"] == challenge
    assert await login_page.code(citizen.phone, count=3) == code
    assert (await login_page.where_is(challenge))["tries_left"] == 4
    assert (await login_page.try_code(challenge, code)).status_code == 201


async def test_a_resend_is_counted_once_despite_conflicts(window: Window, login_page: LoginPage) -> None:
    for _ in range(5):
        citizen = await window.enrolled()
        challenge = await login_page.challenge(citizen)
        wrong = another(await login_page.code(citizen.phone))
        await login_page.forget_limits(citizen)
        tries = [login_page.try_code(challenge, wrong) for _ in range(4)]
        again, *_ = await at_once(login_page.resend(challenge), *tries)
        assert again.status_code == 202, again.text


async def test_five_wrong_codes_close_the_challenge(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    challenge = await login_page.challenge(citizen)
    code = await login_page.code(citizen.phone)
    for left in (4, 3, 2, 1, 0):
        body = problem(await login_page.try_code(challenge, another(code)), 401, "code_wrong", code, another(code))
        assert body["tries_left"] == left
    problem(await login_page.try_code(challenge, code), 410, "code_expired", code)
    problem(await login_page.resend(challenge), 410, "code_expired")
    assert (await login_page.where_is(challenge))["state"] == "expired"


async def test_of_fifty_concurrent_guesses_five_are_checked(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    challenge = await login_page.challenge(citizen)
    code = await login_page.code(citizen.phone)
    answers = await at_once(*(login_page.try_code(challenge, another(code)) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [410] * 45
    assert sorted(answer.json().get("tries_left", -1) for answer in answers)[-5:] == [0, 1, 2, 3, 4]
    problem(await login_page.try_code(challenge, code), 410, "code_expired")


async def test_of_fifty_concurrent_right_codes_one_opens_a_session(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    challenge = await login_page.challenge(citizen)
    code = await login_page.code(citizen.phone)
    answers = await at_once(*(login_page.try_code(challenge, code) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [201] + [410] * 49


async def test_a_code_works_once_and_the_next_code_differs(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    challenge = await login_page.challenge(citizen)
    code = await login_page.code(citizen.phone)
    assert (await login_page.try_code(challenge, code)).status_code == 201
    problem(await login_page.try_code(challenge, code), 410, "code_expired", code)
    problem(await login_page.resend(challenge), 410, "code_expired")
    await login_page.forget_limits(citizen)
    assert await login_page.challenge(citizen) != challenge


async def test_a_code_is_valid_for_its_own_challenge_only(window: Window, login_page: LoginPage) -> None:
    citizen, neighbour = await window.enrolled(), await window.enrolled()
    own, theirs = await login_page.challenge(citizen), await login_page.challenge(neighbour)
    code = await login_page.code(citizen.phone)
    if code != await login_page.code(neighbour.phone):
        problem(await login_page.try_code(theirs, code), 401, "code_wrong")
    problem(await login_page.try_code(own_id(), code), 410, "code_expired")
    assert (await login_page.try_code(own, code)).status_code == 201


async def test_an_unknown_challenge_is_not_found(gateway: httpx2.AsyncClient, login_page: LoginPage) -> None:
    problem(await gateway.get(f"/api/identity/login/codes/{own_id()}"), 404, "not_found")
    problem(await login_page.resend(own_id()), 410, "code_expired")


@pytest.mark.parametrize("code", ["12345", "1234567", "１２３４５６", "12345a", ""])
async def test_a_code_has_six_digits(login_page: LoginPage, code: str) -> None:
    body = problem(await login_page.try_code(own_id(), code), 422, "invalid_fields")
    assert list(fields_of(body)) == ["code"]


async def test_a_code_expires_after_a_day(
    stack: RunningStack, window: Window, login_page: LoginPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    citizen, clock = await window.enrolled(), ManualClock()
    challenge = await login_page.challenge(citizen)
    code = await login_page.code(citizen.phone)
    body = {"challenge_id": challenge, "code": code}
    async with identity(stack, monkeypatch, clock) as http:
        clock.advance(timedelta(hours=24, seconds=5))
        problem(await http.post("/api/identity/login/sessions", json=body), 410, "code_expired", code)
        problem(await http.post(f"/api/identity/login/codes/{challenge}/resend"), 410, "code_expired")
        assert (await http.get(f"/api/identity/login/codes/{challenge}")).json()["state"] == "expired"
        clock.advance(-timedelta(minutes=1))
        assert (await http.post("/api/identity/login/sessions", json=body)).status_code == 201


async def test_rebinding_invalidates_the_old_phones_code(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    challenge = await login_page.challenge(citizen)
    code = await login_page.code(citizen.phone)
    assert (await window.rebind(citizen, random_phone())).status_code == 200
    problem(await login_page.try_code(challenge, code), 410, "code_expired")
    problem(await login_page.resend(challenge), 410, "code_expired")


async def test_a_session_is_extended_by_refresh(window: Window, login_page: LoginPage) -> None:
    session = await login_page.logged_in(await window.enrolled())
    tokens = (await session.refresh()).raise_for_status().json()
    assert tokens["refresh_token"] != session.tokens["refresh_token"]
    following = Session(session.http, tokens)
    assert (await following.call("GET", ME)).status_code == 200
    assert (await following.refresh()).status_code == 200


async def test_a_refresh_token_used_twice_ends_the_session(window: Window, login_page: LoginPage) -> None:
    session = await login_page.logged_in(await window.enrolled())
    newest = (await session.refresh()).json()["refresh_token"]
    problem(await session.refresh(), 401, "refresh_invalid", newest)
    problem(await session.refresh(newest), 401, "refresh_invalid", newest)


async def test_of_many_concurrent_refreshes_one_succeeds(window: Window, login_page: LoginPage) -> None:
    session = await login_page.logged_in(await window.enrolled())
    answers = await at_once(*(session.refresh() for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9


@pytest.mark.parametrize("token", ["", ".", "nonsense", f"{'0' * 8}-0000-4000-8000-{'0' * 12}.x", "*", "a.b.c"])
async def test_an_invented_refresh_token_is_refused(gateway: httpx2.AsyncClient, token: str) -> None:
    problem(await gateway.post("/api/identity/tokens/refresh", json={"refresh_token": token}), 401, "refresh_invalid")


async def test_after_logging_out_the_session_cannot_be_used(window: Window, login_page: LoginPage) -> None:
    session = await login_page.logged_in(await window.enrolled())
    assert (await session.call("DELETE", "/api/identity/sessions/current")).status_code == 204
    problem(await session.refresh(), 401, "refresh_invalid")


async def test_a_revoked_or_rebound_certificate_ends_the_sessions(window: Window, login_page: LoginPage) -> None:
    revoked, rebound = await window.enrolled(), await window.enrolled()
    sessions = [await login_page.logged_in(revoked), await login_page.logged_in(rebound)]
    assert (await window.revoke(revoked)).status_code == 204
    assert (await window.rebind(rebound, random_phone())).status_code == 200
    for session in sessions:
        problem(await session.refresh(), 401, "refresh_invalid")
    problem(await login_page.ask(revoked), 403, "not_enrolled")
