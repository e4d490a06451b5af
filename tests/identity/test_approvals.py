"""Changes of accounts that a second admin approves: the ways of a request, commands, the first admin."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx2
import pyotp
import pytest

from kit.core.clock import ManualClock
from kit.security.tokens import Caller
from services.identity.accounts.domain import staff_id
from services.identity.wiring.shared import Dependencies
from tests.identity.test_staff_commands import command
from tests.support.events import SecurityLog
from tests.support.identity_clients import Staff
from tests.support.names import own_id, own_name
from tests.support.own_services import OwnClient, identity
from tests.support.problems import fields_of, problem
from tests.support.stack import RunningStack
from tests.support.staffing import PASSWORD, Hire

APPROVALS = "/api/identity/approvals"
WHY = "新设受理窗口"


async def ask(admin: Staff, asked: str, username: str, **more: Any) -> httpx2.Response:
    return await admin.call("POST", APPROVALS, json={"asked": asked, "username": username, "reason": WHY} | more)


async def asked_for(admin: Staff, asked: str, username: str, **more: Any) -> str:
    """The path of a new request."""
    answer = await ask(admin, asked, username, **more)
    assert answer.status_code == 201, answer.text
    return f"{APPROVALS}/{answer.json()['approval_id']}"


async def test_an_account_is_created_by_two_admins(
    hire: Hire, stack: RunningStack, gateway: httpx2.AsyncClient
) -> None:
    first, second, name = await hire("admin"), await hire("admin"), own_name("staff")
    path = await asked_for(first, "create", name, roles=["clerk", "operator"])
    listed = (await second.call("GET", APPROVALS)).json()["items"]
    (found,) = [each for each in listed if each["username"] == name]
    assert (found["state"], found["requested_by"], found["own"]) == ("waiting", first.login["username"], False)
    assert (found["roles"], found["reason"]) == (["clerk", "operator"], WHY)
    assert not {"password_hash", "totp_sealed"} & set(found)

    done = await second.call("POST", f"{path}/approve")
    assert done.status_code == 200, done.text
    assert (done.json()["state"], done.json()["decided_by"]) == ("carried_out", second.login["username"])
    made = done.json()["credentials"]
    hired = Staff(gateway, {"username": name, "password": made["password"], "totp_secret": made["totp_secret"]})
    answer = await hired.try_to_log_in()
    assert (answer.status_code, answer.json()["password_change_required"]) == (201, True)
    problem(await second.call("POST", f"{path}/approve"), 409, "no_open_request")

    events = await SecurityLog(stack, gateway).about(f"staff:{staff_id(name)}")
    told = [(each["event"], each["cause"]) for each in events if each["outcome"] == "done"]
    assert told[:3] == [("approval_request", ""), ("account_change", "created"), ("approval", "approved")]


async def test_other_roles_end_the_sessions(hire: Hire) -> None:
    first, second, clerk = await hire("admin"), await hire("admin"), await hire("clerk")
    path = await asked_for(first, "roles", clerk.login["username"], roles=["admin"])
    await clerk.log_in()
    assert (await second.call("POST", f"{path}/approve")).json()["credentials"] is None
    answer = await clerk.try_to_log_in(totp=clerk.next_code())
    assert answer.json()["roles"] == ["admin"]


async def test_an_admin_is_enabled_and_reset_by_two(hire: Hire, gateway: httpx2.AsyncClient) -> None:
    first, second, third = await hire("admin"), await hire("admin"), await hire("admin")
    name = third.login["username"]
    account = f"/api/identity/staff/{staff_id(name)}"
    problem(await first.call("POST", f"{account}/reset", json={}), 409, "approval_required")
    made = (await second.call("POST", f"{await asked_for(first, 'reset', name)}/approve")).json()["credentials"]
    again = Staff(gateway, third.login | {key: made[key] for key in ("password", "totp_secret")})
    assert (await again.try_to_log_in()).json()["password_change_required"] is True

    assert (await first.call("POST", f"{account}/disable")).status_code == 200, "taking away needs nobody"
    problem(await first.call("POST", f"{account}/enable"), 409, "approval_required")
    assert (await second.call("POST", f"{await asked_for(first, 'enable', name)}/approve")).status_code == 200
    assert (await again.try_to_log_in(totp=again.next_code())).status_code == 201


async def test_a_request_is_refused_or_withdrawn(hire: Hire) -> None:
    first, second, name = await hire("admin"), await hire("admin"), own_name("staff")
    for decides in (first, second):
        path = await asked_for(first, "create", name, roles=["clerk"])
        assert (await decides.call("POST", f"{path}/refuse")).json()["state"] == "refused"
        for word in ("approve", "refuse"):
            problem(await second.call("POST", f"{path}/{word}"), 409, "no_open_request")


async def test_requests_that_make_no_sense(hire: Hire) -> None:
    first, clerk = await hire("admin"), await hire("clerk")
    name = clerk.login["username"]
    problem(await ask(first, "create", name, roles=["clerk"]), 409, "account_exists")
    problem(await ask(first, "enable", own_name("staff")), 404, "not_found")
    problem(await ask(first, "roles", first.login["username"], roles=["clerk"]), 409, "own_account")
    problem(await ask(clerk, "create", own_name("staff"), roles=["clerk"]), 403, "forbidden")
    problem(await first.call("POST", f"{APPROVALS}/{own_id()}/approve"), 404, "not_found")
    for more in ({"asked": "roles"}, {"asked": "destroy"}, {"asked": "roles", "roles": ["god"]}):
        body: dict[str, Any] = {"username": name, "reason": WHY} | more
        problem(await first.call("POST", APPROVALS, json=body), 422, "invalid_fields")
    unexplained = {"asked": "enable", "username": name, "reason": " "}
    assert "reason" in fields_of(problem(await first.call("POST", APPROVALS, json=unexplained), 422, "invalid_fields"))


async def test_a_request_expires(
    hire: Hire, inside: Dependencies, stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, name = await hire("admin"), await hire("admin"), own_name("staff")
    path, clock = await asked_for(first, "create", name, roles=["clerk"]), ManualClock()
    await second.log_in()
    found = await inside.store.approvals.get(path.rsplit("/", 1)[1])
    assert found
    clock.advance(found.expires_at - clock.now() + timedelta(seconds=1))
    async with identity(stack, monkeypatch, clock) as http:
        caller = inside_token(http, second)
        problem(await http.post(f"{path}/approve", headers=caller), 409, "no_open_request")
        listed = (await http.get(APPROVALS, headers=caller)).json()["items"]
    assert [each["state"] for each in listed if each["username"] == name] == ["expired"]


def inside_token(http: OwnClient, staff: Staff) -> dict[str, str]:
    account = staff_id(staff.login["username"])
    token = http.app.state.service.issuer.issue(Caller(account, "staff", frozenset({"admin"})))
    return {"Authorization": f"Bearer {token}"}


def given() -> dict[str, str]:
    return {"password": PASSWORD, "totp_secret": pyotp.random_base32()}


async def test_a_command_asks_an_admin(stack: RunningStack, hire: Hire, gateway: httpx2.AsyncClient) -> None:
    admin, name, secrets = await hire("admin"), own_name("staff"), given()
    code, output = await command(stack, name, "--roles", "clerk", "--reason", WHY, given=secrets)
    assert code == 0
    asked = json.loads(next(line for line in output.splitlines() if '"approval_id"' in line))
    clerk = Staff(gateway, secrets | {"username": name})
    problem(await clerk.try_to_log_in(), 401, "login_failed")
    done = (await admin.call("POST", f"{APPROVALS}/{asked['approval_id']}/approve")).json()
    assert (done["requested_by"], done["reason"], done["credentials"]) == ("command", WHY, None)
    assert (await clerk.try_to_log_in(totp=clerk.next_code())).json()["roles"] == ["clerk"]


async def test_what_a_command_gave_is_kept_until_the_decision(
    stack: RunningStack, hire: Hire, inside: Dependencies
) -> None:
    admin, name, secrets = await hire("admin"), own_name("staff"), given()
    _, output = await command(stack, name, "--roles", "clerk", given=secrets)
    asked = json.loads(next(line for line in output.splitlines() if '"approval_id"' in line))["approval_id"]
    kept = await inside.store.approvals.get(asked)
    assert kept
    assert kept.password_hash
    assert secrets["totp_secret"] not in kept.model_dump_json()
    assert (await admin.call("POST", f"{APPROVALS}/{asked}/refuse")).status_code == 200
    kept = await inside.store.approvals.get(asked)
    assert kept
    assert (kept.password_hash, kept.totp_sealed) == (None, None)


async def test_an_emergency_is_carried_out_and_seen(
    stack: RunningStack, hire: Hire, gateway: httpx2.AsyncClient
) -> None:
    admin, name, secrets = await hire("admin"), own_name("staff"), given()
    code, output = await command(stack, name, "--roles", "admin", "--emergency", given=secrets)
    assert (code, "needs --reason" in output) == (2, True), output
    words = ("--roles", "admin", "--emergency", "--reason", "唯一的管理员手机丢失")
    assert (await command(stack, name, *words, given=secrets))[0] == 0
    assert (await Staff(gateway, secrets | {"username": name}).try_to_log_in()).status_code == 201
    listed = (await admin.call("GET", APPROVALS)).json()["items"]
    assert [each["state"] for each in listed if each["username"] == name] == ["bypassed"]


async def test_the_first_admin_needs_nobody_once(stack: RunningStack) -> None:
    """On an empty database; of two concurrent commands one creates its account."""
    database = stack.privileged("identity-api") | {"MONGO__DATABASE": own_name("identity")}
    names = [own_name("admin"), own_name("admin")]
    _, output = await command(stack, own_name("clerk"), "--roles", "clerk", given=given(), more=database)
    assert '"approval_id"' in output, "a clerk is not the first admin"
    words = ("--roles", "admin")
    outputs = await asyncio.gather(*(command(stack, each, *words, given=given(), more=database) for each in names))
    assert sorted('"approval_id"' in output for _, output in outputs) == [False, True], outputs
    _, output = await command(stack, own_name("admin"), *words, given=given(), more=database)
    assert '"approval_id"' in output
