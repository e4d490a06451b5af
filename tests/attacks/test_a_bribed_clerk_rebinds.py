"""A clerk, or a thief with a clerk's token, can't take over a dossier alone or unnoticed."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from deploy.local.people import random_phone
from kit.core.clock import ManualClock
from kit.security.tokens import Caller, TokenIssuer
from services.identity.accounts.domain import staff_id
from services.identity.wiring.shared import Dependencies
from services.notify.templates import CATALOGUE
from tests.attacks.conftest import IdentityApi
from tests.identity.test_binding_a_phone import entries
from tests.support.erasure import have_erased
from tests.support.events import SecurityLog
from tests.support.identity_clients import (
    NEW_PHONE,
    WINDOW,
    Citizen,
    LoginPage,
    Session,
    Staff,
    Window,
    at_once,
    newest_code,
)
from tests.support.identity_documents import passport
from tests.support.names import own_id
from tests.support.own_services import identity
from tests.support.problems import fields_of, problem
from tests.support.sms import Carriers
from tests.support.stack import RunningStack
from tests.support.staffing import Hire
from tests.support.waiting import eventually

REBINDINGS = "/api/identity/rebindings"
SEEN = {"X-Access-Reason": "seen%20and%20compared"}


@pytest.fixture
async def bribed(hire: Hire, window: Window) -> Window:
    """The window of a bribed clerk."""
    return Window(await hire("clerk"), window.inbox)


@pytest.fixture
async def second(hire: Hire) -> Staff:
    """A second clerk."""
    return await hire("clerk")


async def decide(staff: Staff, rebinding: str, decision: str, **more: Any) -> httpx2.Response:
    return await staff.call("POST", f"{REBINDINGS}/{rebinding}/{decision}", **({"headers": SEEN} | more))


async def listed(staff: Staff, citizen: Citizen) -> list[dict[str, Any]]:
    """The pending rebindings of a certificate."""
    found = (await staff.call("GET", f"{REBINDINGS}?limit=200")).raise_for_status().json()["items"]
    return [each for each in found if each["practitioner_id"] == citizen.id]


async def still_theirs(login_page: LoginPage, citizen: Citizen, thiefs: str) -> Session:
    """Checks that the person logs in with their own phone, and nobody with the thief's."""
    problem(await login_page.ask(citizen, phone=thiefs), 403, "not_enrolled")
    return await login_page.logged_in(citizen)


async def test_the_victim_keeps_the_phone_and_is_notified(
    bribed: Window, window: Window, login_page: LoginPage, sms_operators: Carriers
) -> None:
    victim, thiefs = await window.enrolled(), random_phone()
    assert (await bribed.look_up(victim)).status_code == 200
    answer = await bribed.rebind(victim, thiefs)
    assert answer.status_code == 202, answer.text
    waiting = answer.json()["waiting"]
    assert (answer.json()["phone_hint"], waiting["phone_hint"]) == (hint(victim.phone), hint(thiefs))
    assert "须由另一名工作人员确认" in waiting["message"]
    problem(await decide(bribed.clerk, waiting["rebinding_id"], "confirm"), 409, "own_request")

    async def warned() -> bool:
        texts = [message["text"] for message in await sms_operators.inbox(victim.phone)]
        return any(text.endswith(CATALOGUE["rebinding_requested"].text) for text in texts)

    await eventually(warned, 20, "the current phone gets an SMS")
    await still_theirs(login_page, victim, thiefs)
    await login_page.forget_limits(victim)
    [entry] = await entries(login_page, victim, "rebinding_requested")
    assert (entry["who"], entry["reason"]) == (bribed.clerk.tokens["staff_id"], "本人更换手机号码")


def hint(phone: str) -> str:
    return f"{phone[:3]}****{phone[-4:]}"


async def test_revoking_and_reissuing_with_another_phone_also_needs_a_second_clerk(
    bribed: Window, window: Window, login_page: LoginPage, second: Staff
) -> None:
    victim, thiefs = await window.enrolled(), random_phone()
    await bribed.look_up(victim)
    assert (await bribed.revoke(victim)).status_code == 204
    body = problem(await bribed.issue(victim, thiefs), 422, "invalid_fields")
    assert fields_of(body) == {"X-Access-Reason": "reason_required"}
    path = f"{WINDOW}/{victim.id}/certificate"
    answer = await bribed.clerk.call("POST", path, json={"phone": thiefs}, headers=NEW_PHONE)
    assert (answer.status_code, answer.json()["state"]) == (202, "revoked")
    problem(await login_page.ask(victim, phone=thiefs), 403, "not_enrolled")
    assert (await bribed.issue(victim)).status_code == 201, "the phone of before needs nobody"
    assert await listed(second, victim) == []
    await still_theirs(login_page, victim, thiefs)


async def test_a_second_clerk_confirms_and_both_are_in_the_access_log(
    bribed: Window, window: Window, second: Staff, login_page: LoginPage
) -> None:
    person, phone = await window.enrolled(), random_phone()
    session = await login_page.logged_in(person)
    rebinding = await bribed.waiting(person, phone)
    [shown] = await listed(second, person)
    assert shown == (await second.call("GET", f"{REBINDINGS}/{rebinding}")).json()
    assert (shown["requested_by"], shown["own"], shown["cause"]) == (bribed.clerk.login["username"], False, "looked_up")
    assert shown["card_read_at"] < shown["looked_up_at"] < shown["requested_at"] < shown["expires_at"]
    assert not {*person.secrets, phone, str(person.card["name"])} & set(map(str, shown.values()))
    body = problem(await decide(second, rebinding, "confirm", headers={}), 422, "invalid_fields")
    assert fields_of(body) == {"X-Access-Reason": "reason_required"}
    moved = await decide(second, rebinding, "confirm")
    assert (moved.status_code, moved.json()["phone_hint"], moved.json()["waiting"]) == (200, hint(phone), None)
    problem(await session.refresh(), 401, "refresh_invalid")
    await login_page.forget_limits(person)
    [entry] = await entries(login_page, Citizen(person.card, phone, person.id), "rebinding_confirmed")
    assert (entry["who"], entry["reason"]) == (second.tokens["staff_id"], "seen and compared")


async def test_a_decision_on_a_rebinding_is_final(
    bribed: Window, window: Window, second: Staff, login_page: LoginPage
) -> None:
    victim, thiefs = await window.enrolled(), random_phone()
    rebinding = await bribed.waiting(victim, thiefs)
    assert (await decide(second, rebinding, "refuse")).json()["phone_hint"] == hint(victim.phone)
    for decision in ("confirm", "refuse"):
        problem(await decide(second, rebinding, decision), 404, "rebinding_over")
    await still_theirs(login_page, victim, thiefs)
    await login_page.forget_limits(victim)
    [entry] = await entries(login_page, victim, "rebinding_refused")
    assert entry["who"] == second.tokens["staff_id"]
    own = await bribed.waiting(victim, random_phone())
    assert (await decide(bribed.clerk, own, "refuse")).status_code == 200, "who asked may take it back"


async def test_of_many_concurrent_decisions_one_counts(
    bribed: Window, window: Window, second: Staff, hire: Hire
) -> None:
    victim, third = await window.enrolled(), await hire("clerk")
    rebinding = await bribed.waiting(victim, random_phone())
    assert (await third.call("GET", f"{REBINDINGS}/{rebinding}")).status_code == 200  # logged in
    assert (await second.call("GET", f"{REBINDINGS}/{rebinding}")).status_code == 200
    decisions = ((second, "confirm"), (third, "confirm"), (second, "refuse"), (third, "refuse"))
    answers = await at_once(*(decide(who, rebinding, decision) for who, decision in decisions))
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404]


Meanwhile = Callable[[Window, Citizen], Any]


async def revoked(window: Window, citizen: Citizen) -> None:
    assert (await window.revoke(citizen)).status_code == 204


async def asked_again(window: Window, citizen: Citizen) -> None:
    await window.waiting(citizen, random_phone())


async def bound_with_the_card(window: Window, citizen: Citizen) -> None:
    await window.read_card(citizen)
    assert (await window.rebind(citizen, random_phone())).status_code == 200


@pytest.mark.parametrize("meanwhile", [revoked, asked_again, bound_with_the_card])
async def test_a_change_of_the_certificate_ends_the_pending_rebinding(
    bribed: Window, window: Window, second: Staff, meanwhile: Meanwhile
) -> None:
    victim = await window.enrolled()
    rebinding = await bribed.waiting(victim, random_phone())
    await meanwhile(window, victim)
    problem(await decide(second, rebinding, "confirm"), 404, "rebinding_over")


async def test_a_request_of_a_disabled_clerk_cannot_be_confirmed(
    bribed: Window, window: Window, second: Staff, inside: Dependencies
) -> None:
    victim = await window.enrolled()
    rebinding = await bribed.waiting(victim, random_phone())
    await inside.services.staff.switch(staff_id(bribed.clerk.login["username"]), "test", enabled=False)
    problem(await decide(second, rebinding, "confirm"), 409, "requester_disabled")
    assert (await decide(second, rebinding, "refuse")).status_code == 200


async def test_a_phone_bound_meanwhile_by_somebody_else_needs_a_reason(
    bribed: Window, window: Window, second: Staff
) -> None:
    victim, phone = await window.enrolled(), random_phone()
    rebinding = await bribed.waiting(victim, phone)
    assert (await window.issue(await window.registered(), phone)).status_code == 201
    problem(await decide(second, rebinding, "confirm"), 409, "phone_in_use", phone)


async def test_an_erasure_removes_the_pending_rebinding(
    bribed: Window, window: Window, second: Staff, gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> None:
    victim = await window.enrolled()
    rebinding = await bribed.waiting(victim, random_phone())
    await have_erased(gateway, issuer, victim.id)

    async def over() -> bool:
        return (await second.call("GET", f"{REBINDINGS}/{rebinding}")).status_code == 404

    await eventually(over, 20, "nothing waits any more")
    problem(await decide(second, rebinding, "confirm"), 404, "rebinding_over")


def sitting_at(http: httpx2.AsyncClient, issuer: TokenIssuer, window: Window) -> Window:
    """A clerk at an API inside the test."""
    token = issuer.issue(Caller(own_id(), "staff", frozenset({"clerk"})))
    return Window(Staff(http, {}, {"access_token": token}, time.monotonic()), window.inbox)


async def bound_at(own: Window, window: Window, citizen: Citizen) -> httpx2.Response:
    """Another phone, bound at an API inside the test."""
    phone = random_phone()
    sent = await window.phone_code(citizen, phone)
    code = await newest_code(window.clerk.http, window.inbox, phone)
    return await own.bind(citizen, phone, challenge_id=sent.json()["challenge_id"], code=code)


async def test_a_pending_rebinding_expires(
    stack: RunningStack, window: Window, second: Staff, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, clock = await window.enrolled(), ManualClock()
    async with identity(stack, monkeypatch, clock, settings={"REBINDING__WAITS_SECONDS": "60"}) as http:
        clerk, colleague = sitting_at(http, issuer, window), sitting_at(http, issuer, window).clerk
        await clerk.look_up(victim)
        rebinding = (await bound_at(clerk, window, victim)).json()["waiting"]["rebinding_id"]
        assert len(await listed(colleague, victim)) == 1
        clock.advance(timedelta(seconds=61))
        problem(await decide(colleague, rebinding, "confirm"), 404, "rebinding_over")
        assert await listed(colleague, victim) == []
        certificate = await colleague.call("GET", f"{WINDOW}/{victim.id}/certificate", headers=SEEN)
        assert certificate.json()["waiting"] is None


async def test_a_card_reading_counts_for_a_limited_time_and_typed_data_not_at_all(
    stack: RunningStack, window: Window, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon, later, clock = await window.enrolled(), await window.enrolled(), ManualClock()
    async with identity(stack, monkeypatch, clock, settings={"REBINDING__CARD_SECONDS": "60"}) as http:
        clerk = sitting_at(http, issuer, window)
        clock.advance(timedelta(seconds=50))
        assert (await bound_at(clerk, window, soon)).status_code == 200
        clock.advance(timedelta(seconds=60))
        assert (await bound_at(clerk, window, later)).status_code == 202
    by_hand = Citizen(passport())
    by_hand.id = (await window.read_card(by_hand)).json()["practitioner_id"]
    assert (await window.issue(by_hand)).status_code == 201
    assert (await window.rebind(by_hand, random_phone())).json()["waiting"]


async def test_after_many_rebindings_a_clerk_needs_a_second_one(
    identity_api: IdentityApi, window: Window, issuer: TokenIssuer
) -> None:
    async with identity_api(rebindings_per_clerk_per_day=1) as from_, from_("198.51.100.1") as http:
        busy = sitting_at(http, issuer, window)
        answers = [await bound_at(busy, window, await window.enrolled()) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 202]


async def test_without_a_reason_nothing_is_bound_and_no_code_is_spent(window: Window, login_page: LoginPage) -> None:
    citizen, phone = await window.enrolled(), random_phone()
    sent = await window.phone_code(citizen, phone)
    body = {"phone": phone, "challenge_id": sent.json()["challenge_id"], "code": await login_page.code(phone)}
    answer = problem(
        await window.clerk.call("PUT", f"{WINDOW}/{citizen.id}/certificate", json=body), 422, "invalid_fields", phone
    )
    assert fields_of(answer) == {"X-Access-Reason": "reason_required"}
    assert (await window.bind(citizen, **body)).status_code == 200


async def test_each_step_leaves_an_event(
    bribed: Window, window: Window, second: Staff, stack: RunningStack, gateway: httpx2.AsyncClient
) -> None:
    victim, phone = await window.enrolled(), random_phone()
    assert (await decide(second, await bribed.waiting(victim, phone), "refuse")).status_code == 200
    assert (await decide(second, await bribed.waiting(victim, random_phone()), "confirm")).status_code == 200
    events = await SecurityLog(stack, gateway).about(f"practitioner:{victim.id}")
    steps = [event for event in events if event["event"] == "certificate_rebinding"]
    clerk, colleague = (f"staff:{staff.tokens['staff_id']}" for staff in (bribed.clerk, second))
    assert [(step["cause"], step["caller"]) for step in steps] == [
        ("requested", clerk), ("refused", colleague), ("requested", clerk), ("confirmed", colleague),
    ]  # fmt: skip
    assert not any(secret in str(steps) for secret in (*victim.secrets, phone))
