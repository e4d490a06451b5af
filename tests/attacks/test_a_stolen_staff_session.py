"""A stolen staff session or password is useless once it is changed, reset or disabled."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx2
import pyotp
import pytest

from kit.core.clock import ManualClock
from kit.security.tokens import Caller
from services.identity.accounts.domain import staff_id
from services.identity.wiring.shared import Dependencies
from tests.identity.test_sessions_that_ended import refused_everywhere
from tests.support.events import SecurityLog
from tests.support.identity_clients import WINDOW, Session, Staff, bearer
from tests.support.names import own_id, own_name
from tests.support.own_services import identity
from tests.support.problems import problem, retry_after_seconds
from tests.support.stack import RunningStack
from tests.support.staffing import PASSWORD, Hire

STAFF = "/api/identity/staff"
BETTER = "四个词：风筝、算盘、榫卯、汽笛 🪁"
LOOKUP = {"document_type": "passport", "document_number": "E00000000"}


def account_of(staff: Staff) -> str:
    return f"{STAFF}/{staff_id(staff.login['username'])}"


async def thief_of(inside: Dependencies, staff: Staff) -> Session:
    """A stolen session of this member of staff."""
    found = await inside.store.staff.get(staff_id(staff.login["username"]))
    assert found
    tokens = await inside.services.sessions.open_staff(found, "198.51.100.9", "thief")
    return Session(staff.http, {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token})


async def change(staff: Staff, **changes: str) -> httpx2.Response:
    body = {"password": staff.login["password"], "totp": staff.next_code(), "new_password": BETTER}
    return await staff.call("POST", f"{STAFF}/password", json=body | changes)


async def logs_in_at(http: httpx2.AsyncClient, login: dict[str, str], clock: ManualClock) -> httpx2.Response:
    body = {name: login[name] for name in ("username", "password")}
    return await http.post(f"{STAFF}/sessions", json=body | {"totp": pyotp.TOTP(login["totp_secret"]).at(clock.now())})


async def test_changing_the_password_ends_all_sessions_but_the_current_one(
    stack: RunningStack, hire: Hire, inside: Dependencies, monkeypatch: pytest.MonkeyPatch
) -> None:
    clerk = await hire("clerk")
    await clerk.log_in()
    before, thief = dict(clerk.tokens), await thief_of(inside, clerk)
    answer = await change(clerk)
    assert answer.status_code == 200, answer.text
    after = answer.json()
    assert (after["session_id"], after["roles"]) == (before["session_id"], ["clerk"])
    await refused_everywhere(thief, "password_changed")
    own = Session(clerk.http, after)
    assert (await own.call("GET", "/api/identity/sessions")).status_code == 200
    assert (await own.refresh()).status_code == 200

    clock = ManualClock()
    clock.advance(timedelta(minutes=2))
    async with identity(stack, monkeypatch, clock) as http:
        problem(await logs_in_at(http, clerk.login, clock), 401, "login_failed")
        assert (await logs_in_at(http, clerk.login | {"password": BETTER}, clock)).status_code == 201


End = Callable[[Staff, Staff], Awaitable[httpx2.Response]]


async def disabled(admin: Staff, clerk: Staff) -> httpx2.Response:
    return await admin.call("POST", f"{account_of(clerk)}/disable")


async def reset(admin: Staff, clerk: Staff, **what: bool) -> httpx2.Response:
    return await admin.call("POST", f"{account_of(clerk)}/reset", json=what)


@pytest.mark.parametrize(("end", "reason"), [(disabled, "staff_disabled"), (reset, "credentials_reset")])
async def test_an_admin_ends_all_sessions_of_an_account(
    hire: Hire, inside: Dependencies, end: End, reason: str
) -> None:
    clerk, admin = await hire("clerk"), await hire("admin")
    thief = await thief_of(inside, clerk)
    assert (await end(admin, clerk)).status_code == 200
    await refused_everywhere(thief, reason)
    problem(await clerk.try_to_log_in(), 401, "login_failed")


async def test_an_enabled_account_logs_in_and_is_listed(hire: Hire) -> None:
    clerk, admin = await hire("clerk"), await hire("admin")
    assert (await disabled(admin, clerk)).json()["enabled"] is False
    assert (await disabled(admin, clerk)).status_code == 200  # again
    assert (await admin.call("POST", f"{account_of(clerk)}/enable")).json()["enabled"] is True
    assert (await clerk.try_to_log_in()).status_code == 201
    listed = (await admin.call("GET", f"{STAFF}?limit=5")).json()["items"]
    (found,) = [each for each in listed if each["username"] == clerk.login["username"]]
    assert (found["roles"], found["enabled"]) == (["clerk"], True)
    assert not {"password_hash", "totp_sealed"} & set(found)
    problem(await clerk.call("GET", STAFF), 403, "forbidden")
    problem(await admin.call("POST", f"{STAFF}/{own_id()}/disable"), 404, "not_found")


async def test_a_password_set_by_an_admin_only_allows_changing_it(hire: Hire) -> None:
    clerk, admin = await hire("clerk"), await hire("admin")
    made = (await reset(admin, clerk)).json()
    assert made["totp_uri"].startswith("otpauth://totp/")
    again = Staff(clerk.http, clerk.login | {name: made[name] for name in ("password", "totp_secret")})
    answer = await again.try_to_log_in()
    assert answer.status_code == 201, answer.text
    first = Session(clerk.http, answer.json())
    assert (first.tokens["roles"], first.tokens["password_change_required"]) == ([], True)
    problem(await first.call("POST", f"{WINDOW}/lookup", json=LOOKUP), 403, "forbidden")
    body = {"password": made["password"], "totp": again.next_code(), "new_password": BETTER}
    chosen = (await first.call("POST", f"{STAFF}/password", json=body)).json()
    assert (chosen["roles"], chosen["password_change_required"]) == (["clerk"], False)
    found = await Session(clerk.http, chosen).call("POST", f"{WINDOW}/lookup", json=LOOKUP)
    problem(found, 404, "not_found")


async def test_a_password_set_by_an_admin_expires_after_a_day(
    stack: RunningStack, hire: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    clerk, admin, clock = await hire("clerk"), await hire("admin"), ManualClock()
    made = (await reset(admin, clerk)).json()
    login = clerk.login | {name: made[name] for name in ("password", "totp_secret")}
    async with identity(stack, monkeypatch, clock) as http:
        clock.advance(timedelta(days=1, seconds=1))
        problem(await logs_in_at(http, login, clock), 401, "login_failed")


async def test_no_admin_disables_or_resets_themselves(hire: Hire) -> None:
    admin = await hire("admin")
    for answer in (await disabled(admin, admin), await reset(admin, admin, password=False)):
        problem(answer, 409, "own_account")
    assert (await admin.call("GET", STAFF)).status_code == 200


async def test_of_two_admins_disabling_each_other_concurrently_one_stays(
    stack: RunningStack, inside: Dependencies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a database with no other admin."""
    name = own_name("identity")
    names = [own_name("admin"), own_name("admin")]
    tokens = [inside.services.issuer.issue(admin_of(each)) for each in names]
    async with identity(stack, monkeypatch, settings={"MONGO__DATABASE": name}) as http:
        for each in names:  # as the command creates them
            await http.app.state.service.staff.save(each, PASSWORD, pyotp.random_base32(), ["admin"])
        calls = [
            http.post(f"{STAFF}/{staff_id(other)}/disable", headers=bearer(token))
            for other, token in zip(reversed(names), tokens, strict=True)
        ]
        answers = await asyncio.gather(*calls)
        listed = (await http.get(STAFF, headers=bearer(tokens[0]))).json()["items"]
    assert any(each["enabled"] for each in listed), [answer.text for answer in answers]
    assert all(answer.status_code in (200, 409) for answer in answers)
    assert {answer.status_code for answer in answers} != {200}


def admin_of(username: str) -> Caller:
    return Caller(staff_id(username), "staff", frozenset({"admin"}))


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("elf Zeichen", "password_too_short"), ("x" * 129, "too_long"), ("1q2w3e4r5t6y", "password_breached"),
        ("PASSWORD1234", "password_breached"), ("our practitioner portal", "password_guessable"),
        ("{username} and more", "password_guessable"), (PASSWORD, "password_unchanged"),
    ],
)  # fmt: skip
async def test_a_password_that_is_easily_guessed_is_refused(hire: Hire, password: str, code: str) -> None:
    clerk = await hire("clerk")
    await clerk.log_in()
    typed = password.format(username=clerk.login["username"].upper())
    body = problem(await change(clerk, new_password=typed), 422, "invalid_fields")
    assert [(each["field"], each["code"]) for each in body["errors"]] == [("new_password", code)]
    assert (await change(clerk)).status_code == 200  # the code was not used up, and nothing was changed


async def test_password_guesses_with_a_stolen_token_are_limited_and_lock_nobody_out(
    hire: Hire, inside: Dependencies
) -> None:
    clerk = await hire("clerk")
    thief = await thief_of(inside, clerk)
    body = {"password": "a guess", "totp": "000000", "new_password": BETTER}
    answers = [await thief.call("POST", f"{STAFF}/password", json=body) for _ in range(4)]
    for answer in answers[:3]:
        problem(answer, 403, "credentials_wrong")
    retry_after_seconds(answers[3])
    assert (await clerk.try_to_log_in()).status_code == 201


async def test_only_staff_can_change_a_password(person: Any) -> None:
    body = {"password": "x", "totp": "000000", "new_password": BETTER}
    problem(await person.call("POST", f"{STAFF}/password", json=body), 403, "forbidden")


async def test_every_change_leaves_one_event(hire: Hire, stack: RunningStack, gateway: httpx2.AsyncClient) -> None:
    clerk, admin, events = await hire("clerk"), await hire("admin"), SecurityLog(stack, gateway)
    await clerk.log_in()
    requests = {cause: own_id() for cause in ("password_changed", "disabled", "enabled", "reset")}
    calls: dict[str, tuple[Staff, str, dict[str, Any] | None]] = {
        "disabled": (admin, f"{account_of(clerk)}/disable", None),
        "enabled": (admin, f"{account_of(clerk)}/enable", None),
        "reset": (admin, f"{account_of(clerk)}/reset", {}),
    }
    proof = {"password": PASSWORD, "totp": clerk.next_code(), "new_password": BETTER}
    calls = {"password_changed": (clerk, f"{STAFF}/password", proof)} | calls
    for cause, (who, path, body) in calls.items():
        answer = await who.call("POST", path, json=body, headers={"X-Request-Id": requests[cause]})
        assert answer.status_code == 200, answer.text
    for cause, request in requests.items():
        [event] = [each for each in (await events.of([request]))[request] if each["event"] != "session_end"]
        assert (event["event"], event["outcome"], event["cause"]) == ("account_change", "done", cause)
        assert event["subject"] == f"staff:{staff_id(clerk.login['username'])}"
        assert event["caller"] == event["subject"] or cause != "password_changed"
        for secret in (clerk.login["username"], PASSWORD, BETTER, clerk.login["totp_secret"]):
            assert secret not in str(event)


async def test_many_log_ins_do_not_fill_the_account(hire: Hire, inside: Dependencies) -> None:
    """Each was an entry of the history, and after some 1,700 of them nobody could log in."""
    clerk = await hire("clerk")
    await clerk.log_in()
    found = await inside.store.staff.get(staff_id(clerk.login["username"]))
    assert found
    assert found.last_step > 0
    assert [entry.action for entry in found.history] == ["created"]
