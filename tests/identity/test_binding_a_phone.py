"""Binding another phone: needs a code sent to it, valid once and for one person; a shared phone needs a reason."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from deploy.local.people import random_phone
from kit.core.clock import ManualClock
from kit.security.tokens import Caller, TokenIssuer
from tests.support.identity_clients import NEW_PHONE, WINDOW, Citizen, LoginPage, Window, another, at_once, bearer
from tests.support.names import own_id
from tests.support.own_services import identity
from tests.support.problems import fields_of, problem
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

ME = f"{WINDOW}/me"
REASON = "老人使用子女的手机"
NO_CODE = "请填写新手机收到的动态密码"


async def sent(window: Window, login_page: LoginPage, citizen: Citizen, phone: str) -> dict[str, str]:
    """The proof that the phone's owner is at the window: challenge and code."""
    before = len(await login_page.messages(phone))
    answer = await window.phone_code(citizen, phone)
    assert answer.status_code == 202, answer.text
    return {"challenge_id": answer.json()["challenge_id"], "code": await login_page.code(phone, before + 1)}


async def phone_of(window: Window, citizen: Citizen) -> str:
    """The phone that the window sees."""
    headers = {"X-Access-Reason": "test"}
    found = await window.clerk.call("GET", f"{WINDOW}/{citizen.id}/certificate", headers=headers)
    return str(found.json()["phone_hint"])


async def test_the_new_phone_is_sent_a_code_that_binds_it(window: Window, login_page: LoginPage) -> None:
    citizen, phone = await window.enrolled(), random_phone()
    asked = await window.phone_code(citizen, phone)
    accepted = asked.json()
    assert (asked.status_code, accepted["phone_hint"]) == (202, f"{phone[:3]}****{phone[-4:]}")
    assert accepted.keys() == {"challenge_id", "phone_hint", "expires_at", "resend_at"}
    code = await login_page.code(phone)
    assert code not in asked.text
    assert await phone_of(window, citizen) == f"{citizen.phone[:3]}****{citizen.phone[-4:]}", "it does not count yet"
    bound = await window.bind(citizen, phone, challenge_id=accepted["challenge_id"], code=code)
    assert (bound.status_code, bound.json()["phone_hint"]) == (200, f"{phone[:3]}****{phone[-4:]}")
    await login_page.forget_limits(citizen)
    await login_page.logged_in(Citizen(citizen.card, phone, citizen.id))


async def test_without_a_code_nothing_is_bound(window: Window, login_page: LoginPage) -> None:
    citizen, phone = await window.enrolled(), random_phone()
    proof = await sent(window, login_page, citizen, phone)
    for lacking in ({}, {"challenge_id": proof["challenge_id"]}, {"code": proof["code"]}):
        body = problem(await window.bind(citizen, phone, **lacking), 422, "invalid_fields", phone)
        assert fields_of(body) == {"code": "required"}
        assert body["errors"][0]["message"] == NO_CODE
    assert await phone_of(window, citizen) == f"{citizen.phone[:3]}****{citizen.phone[-4:]}"


async def test_a_code_binds_only_its_own_phone_to_its_own_person(window: Window, login_page: LoginPage) -> None:
    citizen, neighbour, phone = await window.enrolled(), await window.enrolled(), random_phone()
    proof = await sent(window, login_page, citizen, phone)
    problem(await window.bind(citizen, random_phone(), **proof), 410, "code_expired")
    problem(await window.bind(neighbour, phone, **proof), 410, "code_expired")
    problem(await window.bind(citizen, phone, challenge_id=own_id(), code=proof["code"]), 410, "code_expired")
    assert (await window.bind(citizen, phone, **proof)).status_code == 200


async def test_a_login_code_binds_no_phone_and_a_binding_code_logs_nobody_in(
    window: Window, login_page: LoginPage
) -> None:
    """A reader of the old phone's code can't move the certificate; a clerk who hears a code can't log in."""
    citizen, phone = await window.enrolled(), random_phone()
    login = await login_page.challenge(citizen)
    code = await login_page.code(citizen.phone)
    problem(await window.bind(citizen, citizen.phone, challenge_id=login, code=code), 410, "code_expired")
    problem(await window.bind(citizen, phone, challenge_id=login, code=code), 410, "code_expired")
    proof = await sent(window, login_page, citizen, phone)
    problem(await login_page.try_code(proof["challenge_id"], proof["code"]), 410, "code_expired")
    problem(await login_page.resend(proof["challenge_id"]), 410, "code_expired")
    assert (await login_page.try_code(login, code)).status_code == 201, "neither spoiled the other"
    assert (await window.bind(citizen, phone, **proof)).status_code == 200


async def test_after_five_wrong_codes_the_right_one_is_refused(window: Window, login_page: LoginPage) -> None:
    citizen, phone = await window.enrolled(), random_phone()
    proof = await sent(window, login_page, citizen, phone)
    wrong = proof | {"code": another(proof["code"])}
    for left in (4, 3, 2, 1, 0):
        assert problem(await window.bind(citizen, phone, **wrong), 401, "code_wrong")["tries_left"] == left
    problem(await window.bind(citizen, phone, **wrong), 410, "code_expired")
    problem(await window.bind(citizen, phone, **proof), 410, "code_expired", proof["code"])


async def test_a_code_binds_once_however_often_it_is_sent(window: Window, login_page: LoginPage) -> None:
    citizen, phone = await window.enrolled(), random_phone()
    proof = await sent(window, login_page, citizen, phone)
    answers = await at_once(*(window.bind(citizen, phone, **proof) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 410, 410, 410, 410]
    await window.rebind(citizen, citizen.phone)
    problem(await window.bind(citizen, phone, **proof), 410, "code_expired")
    assert await phone_of(window, citizen) == f"{citizen.phone[:3]}****{citizen.phone[-4:]}"


async def test_a_code_for_a_phone_expires_after_ten_minutes(
    stack: RunningStack, window: Window, login_page: LoginPage, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    citizen, phone, clock = await window.enrolled(), random_phone(), ManualClock()
    proof = await sent(window, login_page, citizen, phone)
    path, body = f"{WINDOW}/{citizen.id}/certificate", {"phone": phone, **proof}
    clerk = bearer(issuer.issue(Caller(own_id(), "staff", frozenset({"clerk"})))) | NEW_PHONE
    async with identity(stack, monkeypatch, clock) as http:
        clock.advance(timedelta(minutes=10, seconds=5))
        problem(await http.put(path, json=body, headers=clerk), 410, "code_expired")
        clock.advance(-timedelta(minutes=1))
        assert (await http.put(path, json=body, headers=clerk)).status_code == 200


async def test_codes_are_limited_per_caller_and_per_phone(
    stack: RunningStack, window: Window, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    citizen, phone = await window.enrolled(), random_phone()
    assert (await window.phone_code(citizen, phone)).status_code == 202
    again = await window.phone_code(citizen, phone)
    problem(again, 429, "too_many_requests", phone)
    assert int(again.headers["retry-after"]) > 0
    path = f"{WINDOW}/{citizen.id}/certificate/phone-codes"
    few = {"LIMITS__PHONE_CODES_PER_CLERK_PER_HOUR": "2"}
    async with identity(stack, monkeypatch, settings=few) as http:
        clerk, colleague = (bearer(issuer.issue(Caller(own_id(), "staff", frozenset({"clerk"})))) for _ in "ab")

        async def ask(headers: dict[str, str]) -> httpx2.Response:
            return await http.post(path, json={"phone": random_phone()}, headers=headers)

        assert [(await ask(clerk)).status_code for _ in range(3)] == [202, 202, 429]
        assert (await ask(colleague)).status_code == 202


async def test_only_callers_who_issue_certificates_can_send_codes(
    window: Window, login_page: LoginPage, issuer: TokenIssuer, gateway: httpx2.AsyncClient
) -> None:
    citizen, phone = await window.enrolled(), random_phone()
    path = f"{WINDOW}/{citizen.id}/certificate/phone-codes"
    session = await login_page.logged_in(citizen)
    operator = Caller(own_id(), "staff", frozenset({"operator"}))
    problem(await session.call("POST", path, json={"phone": phone}), 403, "forbidden")
    problem(
        await gateway.post(path, json={"phone": phone}, headers=bearer(issuer.issue(operator))), 403, "forbidden"
    )  # fmt: skip
    problem(await gateway.post(path, json={"phone": phone}), 401, "unauthorized")
    problem(await window.phone_code(await window.registered(), phone), 404, "not_found")
    assert await login_page.messages(phone) == []


async def test_a_rebinding_is_in_the_persons_access_log(window: Window, login_page: LoginPage) -> None:
    citizen, phone = await window.enrolled(), random_phone()
    proof = await sent(window, login_page, citizen, phone)
    path, why = f"{WINDOW}/{citizen.id}/certificate", {"X-Access-Reason": "change%20of%20phone"}
    assert (await window.clerk.call("PUT", path, json={"phone": phone, **proof}, headers=why)).status_code == 200
    await login_page.forget_limits(citizen)
    [entry] = await entries(login_page, Citizen(citizen.card, phone, citizen.id), "phone_rebound")
    assert (entry["role"], entry["reason"]) == ("clerk", "change of phone")


async def entries(login_page: LoginPage, citizen: Citizen, what: str) -> list[dict[str, Any]]:
    """The person's access log entries of this kind, once there are any."""
    session = await login_page.logged_in(citizen)

    async def found() -> list[dict[str, Any]]:
        items = (await session.call("GET", f"{ME}/access-log")).json()["items"]
        return [item for item in items if item["what"] == what]

    return await eventually(found, 20, f"{what} is in the access log")


async def test_a_phone_of_somebody_else_is_bound_only_for_a_reason_which_is_stored_and_shown(
    window: Window, login_page: LoginPage
) -> None:
    child, parent, other = await window.enrolled(), await window.registered(), await window.enrolled()
    await login_page.forget_limits(child)
    problem(await window.issue(parent, child.phone), 409, "phone_in_use", child.phone)
    problem(await window.phone_code(other, child.phone), 409, "phone_in_use", child.phone)
    assert await login_page.messages(child.phone) == [], "nobody is sent codes who does not want any"
    path, body = f"{WINDOW}/{parent.id}/certificate", {"phone": child.phone, "shared_reason": REASON}
    assert (await window.clerk.call("POST", path, json=body)).status_code == 201
    assert (await window.rebind(other, child.phone, shared_reason=REASON)).status_code == 200
    await login_page.forget_limits(child)
    [entry] = await entries(login_page, Citizen(parent.card, child.phone, parent.id), "phone_shared")
    assert (entry["role"], entry["reason"]) == ("clerk", REASON)


async def test_a_rebinding_to_a_phone_bound_meanwhile_is_refused_and_its_code_stays_valid(
    window: Window, login_page: LoginPage
) -> None:
    citizen, quicker, phone = await window.enrolled(), await window.registered(), random_phone()
    proof = await sent(window, login_page, citizen, phone)
    assert (await window.issue(quicker, phone)).status_code == 201
    problem(await window.bind(citizen, phone, **proof), 409, "phone_in_use", phone)
    assert (await window.bind(citizen, phone, **proof, shared_reason=REASON)).status_code == 200


@pytest.mark.parametrize("reason", ["", " ", "x" * 201, "\u202e"])
async def test_a_reason_is_a_sentence(window: Window, reason: str) -> None:
    citizen = await window.registered()
    path, body = f"{WINDOW}/{citizen.id}/certificate", {"phone": citizen.phone, "shared_reason": reason}
    answer = problem(await window.clerk.call("POST", path, json=body), 422, "invalid_fields")
    assert list(fields_of(answer)) == ["shared_reason"]


async def test_at_most_three_people_share_a_phone_also_with_concurrent_requests(window: Window) -> None:
    phone, people = random_phone(), [await window.registered() for _ in range(6)]
    body = {"phone": phone, "shared_reason": REASON}

    async def issue(citizen: Citizen) -> httpx2.Response:
        return await window.clerk.call("POST", f"{WINDOW}/{citizen.id}/certificate", json=body)

    answers = await asyncio.gather(*map(issue, people))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 3
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"phone_full"}
    bound = next(one for one, answer in zip(people, answers, strict=True) if answer.status_code == 201)
    late = next(one for one, answer in zip(people, answers, strict=True) if answer.status_code == 409)
    assert (await window.revoke(bound)).status_code == 204
    assert (await issue(late)).status_code == 201, "who gave the phone up makes room"


async def test_of_two_concurrent_bindings_of_a_free_phone_one_needs_a_reason(window: Window) -> None:
    phone, people = random_phone(), [await window.registered() for _ in range(2)]
    answers = await at_once(*(window.issue(citizen, phone) for citizen in people))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
