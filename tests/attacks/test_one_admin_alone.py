"""One admin tries to get a second account, or another admin's, without anybody else."""

import asyncio
from collections import Counter

import httpx2
import pytest

from kit.security.tokens import Caller
from services.identity.accounts.domain import staff_id
from services.identity.wiring.shared import Dependencies
from tests.identity.test_approvals import APPROVALS, asked_for
from tests.support.events import SecurityLog
from tests.support.identity_clients import Staff
from tests.support.names import own_name
from tests.support.problems import problem
from tests.support.stack import RunningStack
from tests.support.staffing import Hire


def account_of(staff: Staff) -> str:
    return staff_id(staff.login["username"])


async def test_the_requester_cannot_approve(hire: Hire, stack: RunningStack, gateway: httpx2.AsyncClient) -> None:
    admin, name = await hire("admin"), own_name("staff")
    path = await asked_for(admin, "create", name, roles=["admin"])
    refused = await admin.call("POST", f"{path}/approve")
    problem(refused, 403, "second_person_required")
    event = await SecurityLog(stack, gateway).one(refused.headers["X-Request-Id"])
    assert (event["event"], event["cause"], event["subject"]) == (
        "approval", "second_person_required", f"staff:{staff_id(name)}",
    )  # fmt: skip


async def test_the_account_concerned_cannot_approve(hire: Hire) -> None:
    admin, accomplice = await hire("admin"), await hire("admin")
    path = await asked_for(admin, "roles", accomplice.login["username"], roles=["admin", "operator"])
    problem(await accomplice.call("POST", f"{path}/approve"), 403, "second_person_required")


@pytest.mark.parametrize("roles", [(), ("clerk",), ("operator",)])
async def test_only_admins_decide(hire: Hire, roles: tuple[str, ...]) -> None:
    admin, other = await hire("admin"), await hire(*roles)
    path = await asked_for(admin, "create", own_name("staff"), roles=["clerk"])
    for word in ("approve", "refuse"):
        problem(await other.call("POST", f"{path}/{word}"), 403, "forbidden")


async def test_a_role_lost_meanwhile_does_not_approve(hire: Hire, inside: Dependencies) -> None:
    """Neither in a session from before, nor with a token that still names the role."""
    admin, former = await hire("admin"), await hire("admin")
    path = await asked_for(admin, "create", own_name("staff"), roles=["clerk"])
    await former.log_in()
    token = inside.services.issuer.issue(_admin(account_of(former)))
    await inside.services.staff.change_roles(account_of(former), ["clerk"], "a test", None)
    assert (await former.call("POST", f"{path}/approve")).status_code in (401, 403)
    refused = await former.http.post(f"{path}/approve", headers={"Authorization": f"Bearer {token}"})
    problem(refused, 403, "forbidden")


async def test_a_requester_who_lost_the_role_gets_nothing(hire: Hire, inside: Dependencies) -> None:
    former, admin = await hire("admin"), await hire("admin")
    path = await asked_for(former, "create", own_name("staff"), roles=["clerk"])
    await inside.services.staff.switch(account_of(former), "a test", enabled=False)
    problem(await admin.call("POST", f"{path}/approve"), 409, "requester_gone")


@pytest.mark.parametrize("asked", ["roles", "enable", "reset"])
async def test_an_account_that_changed_since_is_not_touched(hire: Hire, inside: Dependencies, asked: str) -> None:
    """An account that was disabled after the request does not come back by an old approval."""
    first, second, target = await hire("admin"), await hire("admin"), await hire("clerk")
    more = {"roles": ["admin"]} if asked == "roles" else {}
    path = await asked_for(first, asked, target.login["username"], **more)
    await inside.services.staff.switch(account_of(target), "a test", enabled=False)
    problem(await second.call("POST", f"{path}/approve"), 409, "request_outdated")
    found = await inside.store.staff.get(account_of(target))
    assert found
    assert (found.enabled, found.roles, found.password_until) == (False, ["clerk"], None)


async def test_a_name_taken_since_is_not_replaced(hire: Hire, inside: Dependencies) -> None:
    first, second, name = await hire("admin"), await hire("admin"), own_name("staff")
    paths = [await asked_for(first, "create", name, roles=[role]) for role in ("clerk", "admin")]
    assert (await second.call("POST", f"{paths[0]}/approve")).status_code == 200
    problem(await second.call("POST", f"{paths[1]}/approve"), 409, "request_outdated")
    found = await inside.store.staff.get(staff_id(name))
    assert found
    assert found.roles == ["clerk"]


async def test_of_concurrent_decisions_one_counts(hire: Hire, inside: Dependencies) -> None:
    requester, clerk = await hire("admin"), await hire("clerk")
    admins = [await hire("admin") for _ in range(3)]
    for each in admins:
        await each.log_in()
    path = await asked_for(requester, "roles", clerk.login["username"], roles=["operator"])
    words = ("approve", "approve", "refuse")
    answers = await asyncio.gather(
        *(admin.call("POST", f"{path}/{word}") for admin, word in zip(admins, words, strict=True))
    )
    assert Counter(each.status_code for each in answers) == {200: 1, 409: 2}, [each.text for each in answers]
    (winner,) = [word for word, each in zip(words, answers, strict=True) if each.status_code == 200]
    found = await inside.store.staff.get(account_of(clerk))
    assert found
    assert (found.roles, found.credentials) == ((["operator"], 1) if winner == "approve" else (["clerk"], 0))
    (listed,) = [
        each for each in (await requester.call("GET", APPROVALS)).json()["items"] if path.endswith(each["approval_id"])
    ]
    assert listed["state"] == ("carried_out" if winner == "approve" else "refused")


def _admin(account: str) -> Caller:
    return Caller(account, "staff", frozenset({"admin"}))
