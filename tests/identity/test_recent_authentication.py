"""Recent authentication: irreversible actions need a code proved within the last ten minutes."""

import json
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from joserfc.jws import extract_compact

from deploy.local.people import random_phone
from kit import mongo
from kit.core.clock import ManualClock, SystemClock
from kit.security.tokens import Caller, TokenIssuer
from tests.support.identity_clients import Citizen, LoginPage, Session, Staff, Window, another, at_once, bearer
from tests.support.names import own_id
from tests.support.own_services import identity
from tests.support.problems import problem
from tests.support.stack import RunningStack

SESSIONS = "/api/identity/sessions"
CODES, PROOFS = f"{SESSIONS}/current/codes", f"{SESSIONS}/current/proofs"
MINUTES = 60


def claims(token: str) -> dict[str, Any]:
    return dict(json.loads(extract_compact(token.encode()).payload))


def session_id(session: Session) -> str:
    return str(session.tokens["refresh_token"]).partition(".")[0]


async def age_proof(stack: RunningStack, session: Session, minutes: float = 11) -> Session:
    """Makes the proof of a code this old; the session itself continues."""
    async with mongo.connect(stack.mongo, "identity") as database:
        long_ago = SystemClock().now() - timedelta(minutes=minutes)
        await database["sessions"].update_one({"_id": session_id(session)}, {"$set": {"proved_at": long_ago}})
    return Session(session.http, (await session.refresh()).raise_for_status().json())


async def two_devices(login_page: LoginPage, citizen: Citizen) -> tuple[Session, Session]:
    first = await login_page.logged_in(citizen)
    await login_page.forget_limits(citizen)
    second = await login_page.logged_in(citizen)
    await login_page.forget_limits(citizen)
    return first, second


async def sent(login_page: LoginPage, citizen: Citizen, session: Session) -> dict[str, str]:
    """A code for this session, as the body of its proof."""
    before = len(await login_page.messages(citizen.phone))
    answer = await session.call("POST", CODES)
    assert answer.status_code == 202, answer.text
    return {"challenge_id": answer.json()["challenge_id"], "code": await login_page.code(citizen.phone, before + 1)}


async def prove(session: Session, proof: dict[str, str]) -> httpx2.Response:
    return await session.call("POST", PROOFS, json=proof)


async def test_a_token_has_the_time_of_its_proof_and_a_refresh_keeps_it(
    stack: RunningStack, window: Window, login_page: LoginPage
) -> None:
    session = await login_page.logged_in(await window.enrolled())
    proved = claims(session.tokens["access_token"])["auth_time"]
    assert abs(proved - SystemClock().now().timestamp()) < 2 * MINUTES
    assert session.tokens["auth_time"] == proved
    old = await age_proof(stack, session)
    for _ in range(2):
        age = SystemClock().now().timestamp() - claims(old.tokens["access_token"])["auth_time"]
        assert 11 * MINUTES <= age < 14 * MINUTES
        old = Session(old.http, (await old.refresh()).raise_for_status().json())


async def test_an_old_proof_cannot_end_other_sessions_until_a_new_code_is_proved(
    stack: RunningStack, window: Window, login_page: LoginPage
) -> None:
    citizen = await window.enrolled()
    phone, office = await two_devices(login_page, citizen)
    phone = await age_proof(stack, phone)
    path = f"{SESSIONS}/{session_id(office)}"
    assert problem(await phone.call("DELETE", path), 403, "fresh_proof_required")["max_age"] == 600
    office = Session(office.http, (await office.refresh()).raise_for_status().json())
    asked = await phone.call("POST", CODES)
    assert (asked.status_code, asked.json()["phone_hint"]) == (202, f"{citizen.phone[:3]}****{citizen.phone[-4:]}")
    code = await login_page.code(citizen.phone, 3)
    assert "10分钟内有效" in (await login_page.messages(citizen.phone))[-1]
    proved = await prove(phone, {"challenge_id": asked.json()["challenge_id"], "code": code})
    assert (proved.status_code, proved.json()["token_type"]) == (200, "Bearer")
    fresh = Session(phone.http, proved.json())
    assert session_id(fresh) == session_id(phone), "it is the same session"
    assert (await fresh.call("DELETE", path)).status_code == 204
    problem(await office.refresh(), 401, "refresh_invalid")
    assert (await fresh.refresh()).status_code == 200


async def test_reversible_actions_need_no_recent_proof(
    stack: RunningStack, window: Window, login_page: LoginPage
) -> None:
    old = await age_proof(stack, await login_page.logged_in(await window.enrolled()))
    assert (await old.call("GET", SESSIONS)).status_code == 200
    assert (await old.call("GET", "/api/identity/practitioners/me")).status_code == 200
    assert (await old.call("DELETE", f"{SESSIONS}/{session_id(old)}")).status_code == 204, "its own session"


async def test_a_token_without_a_time_has_no_recent_proof_and_a_foreign_session_is_not_found(
    window: Window, login_page: LoginPage, issuer: TokenIssuer
) -> None:
    session = await login_page.logged_in(await window.enrolled())
    nameless = bearer(issuer.issue(Caller(claims(session.tokens["access_token"])["sub"], "practitioner", session="x")))
    path = f"{SESSIONS}/{session_id(session)}"
    problem(await session.http.delete(path, headers=nameless), 403, "fresh_proof_required")
    problem(await session.http.delete(f"{SESSIONS}/{own_id()}", headers=nameless), 404, "not_found")


async def test_a_proof_replaces_the_refresh_token(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    await login_page.forget_limits(citizen)
    fresh = Session(session.http, (await prove(session, await sent(login_page, citizen, session))).json())
    problem(await session.refresh(), 401, "refresh_invalid")
    problem(await fresh.refresh(), 401, "refresh_invalid")


async def test_a_code_proves_only_its_own_session(window: Window, login_page: LoginPage) -> None:
    citizen, neighbour = await window.enrolled(), await window.enrolled()
    phone, thief = await two_devices(login_page, citizen)
    other = await login_page.logged_in(neighbour)
    proof = await sent(login_page, citizen, phone)
    for session in (thief, other):
        problem(await prove(session, proof), 410, "code_expired")
    assert (await prove(phone, proof)).status_code == 200, "nobody else's try was counted"


async def test_a_login_code_proves_nothing_and_a_proof_code_logs_nobody_in(
    window: Window, login_page: LoginPage
) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    await login_page.forget_limits(citizen)
    challenge = await login_page.challenge(citizen)
    login = {"challenge_id": challenge, "code": await login_page.code(citizen.phone, 2)}
    problem(await prove(session, login), 410, "code_expired")
    await login_page.forget_limits(citizen)
    proof = await sent(login_page, citizen, session)
    problem(await login_page.try_code(proof["challenge_id"], proof["code"]), 410, "code_expired")
    problem(await login_page.resend(proof["challenge_id"]), 410, "code_expired")
    assert (await login_page.try_code(challenge, login["code"])).status_code == 201
    assert (await prove(session, proof)).status_code == 200


async def test_a_code_to_bind_a_phone_proves_nothing(window: Window, login_page: LoginPage) -> None:
    citizen, phone = await window.enrolled(), random_phone()
    session = await login_page.logged_in(citizen)
    challenge = (await window.phone_code(citizen, phone)).json()["challenge_id"]
    binding = {"challenge_id": challenge, "code": await login_page.code(phone)}
    problem(await prove(session, binding), 410, "code_expired")
    assert (await window.bind(citizen, phone, **binding)).status_code == 200


async def test_after_five_wrong_codes_the_right_code_proves_nothing(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    await login_page.forget_limits(citizen)
    proof = await sent(login_page, citizen, session)
    wrong = proof | {"code": another(proof["code"])}
    for left in (4, 3, 2, 1, 0):
        assert problem(await prove(session, wrong), 401, "code_wrong")["tries_left"] == left
    problem(await prove(session, wrong), 410, "code_expired")
    problem(await prove(session, proof), 410, "code_expired", proof["code"])
    assert (await session.refresh()).status_code == 200, "the session goes on"


async def test_a_code_proves_once_however_often_it_is_sent(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    await login_page.forget_limits(citizen)
    proof = await sent(login_page, citizen, session)
    answers = await at_once(*(prove(session, proof) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 410, 410, 410, 410]


async def test_a_code_expires_after_ten_minutes_or_with_its_session_or_phone(
    stack: RunningStack, window: Window, login_page: LoginPage, monkeypatch: pytest.MonkeyPatch, issuer: TokenIssuer
) -> None:
    citizen, clock = await window.enrolled(), ManualClock()
    session = await login_page.logged_in(citizen)
    await login_page.forget_limits(citizen)
    proof = await sent(login_page, citizen, session)
    token = bearer(issuer.issue(Caller(citizen.id, "practitioner", session=session_id(session))))
    async with identity(stack, monkeypatch, clock) as http:
        clock.advance(timedelta(minutes=10, seconds=5))
        problem(await http.post(PROOFS, json=proof, headers=token), 410, "code_expired")
    assert (await window.rebind(citizen, random_phone())).status_code == 200
    problem(await session.http.post(PROOFS, json=proof, headers=token), 401, "unauthorized")
    problem(await session.http.post(CODES, headers=token), 401, "unauthorized")


async def test_proof_codes_count_towards_the_limits_of_login_codes(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    limited = await session.call("POST", CODES)
    problem(limited, 429, "too_many_requests", citizen.phone)
    assert int(limited.headers["retry-after"]) > 0
    await login_page.forget_limits(citizen)
    assert (await session.call("POST", CODES)).status_code == 202
    problem(await login_page.ask(citizen), 429, "too_many_requests")


async def test_only_a_practitioner_has_a_phone_to_prove_with(
    operator: Staff, issuer: TokenIssuer, gateway: httpx2.AsyncClient
) -> None:
    proof = {"challenge_id": own_id(), "code": "123456"}
    problem(await operator.call("POST", CODES), 403, "forbidden")
    problem(await operator.call("POST", PROOFS, json=proof), 403, "forbidden")
    sessionless = bearer(issuer.issue(Caller(own_id(), "practitioner")))
    problem(await gateway.post(CODES, headers=sessionless), 401, "unauthorized")
    problem(await gateway.post(CODES), 401, "unauthorized")
