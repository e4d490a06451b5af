"""Passkeys of staff: added with both factors, used in place of both, removed."""

import asyncio

import httpx2
import pytest

from kit.security.passkeys import RelyingParty
from services.identity.accounts.domain import staff_id
from services.identity.accounts.passkeys import MAX_PASSKEYS
from services.identity.wiring.shared import Dependencies
from tests.identity.test_sessions_that_ended import refused_everywhere
from tests.support.authenticator import (
    OWN_PASSKEYS,
    STAFF,
    Authenticator,
    Enrol,
    Holder,
    add,
    begin,
    own_authenticator,
    session_of,
)
from tests.support.events import SecurityLog
from tests.support.identity_clients import Session, Staff
from tests.support.names import own_id
from tests.support.problems import problem
from tests.support.stack import RunningStack
from tests.support.staffing import Hire


@pytest.mark.parametrize(
    ("site", "name", "origin"),
    [
        ("portal.example.cn", "portal.example.cn", "https://portal.example.cn"),
        ("https://portal.example.cn:8443", "portal.example.cn", "https://portal.example.cn:8443"),
        ("http://portal.example.cn", "portal.example.cn", "https://portal.example.cn"),
        ("http://localhost:8080", "localhost", "http://localhost:8080"),
    ],
)
def test_the_site_that_passkeys_belong_to(site: str, name: str, origin: str) -> None:
    party = RelyingParty(site, "name")
    assert (party.id, party.origin) == (name, origin)


async def test_the_life_of_a_passkey(enrol: Enrol, stack: RunningStack, gateway: httpx2.AsyncClient) -> None:
    holder = await enrol("clerk")
    listed = (await holder.session.call("GET", OWN_PASSKEYS)).json()["items"]
    assert [(each["name"], each["synced"], each["used_at"]) for each in listed] == [("安全密钥", False, None)]
    assert not {"key", "credential_id", "sign_count"} & set(listed[0])

    answer = await holder.log_in()
    assert answer.status_code == 201, answer.text
    assert (answer.json()["roles"], answer.json()["username"]) == (["clerk"], holder.staff.login["username"])
    opened = Session(gateway, answer.json())
    (found,) = (await opened.call("GET", OWN_PASSKEYS)).json()["items"]
    assert found["used_at"]
    assert (await holder.log_in()).status_code == 201, "again"

    removed = await opened.call("DELETE", f"{OWN_PASSKEYS}/{holder.passkey_id}")
    assert removed.status_code == 204
    await refused_everywhere(holder.session, "passkey_removed")
    assert (await opened.call("GET", OWN_PASSKEYS)).json()["items"] == [], "the current session stays"
    problem(await opened.call("DELETE", f"{OWN_PASSKEYS}/{holder.passkey_id}"), 404, "not_found")
    problem(await holder.log_in(), 401, "login_failed")

    account = f"staff:{staff_id(holder.staff.login['username'])}"
    events = await SecurityLog(stack, gateway).about(account)
    done = [(each["event"], each["cause"], each.get("passkey")) for each in events if each["outcome"] == "done"]
    for expected in (("account_change", "passkey_added"), ("staff_login", "")):
        assert (*expected, holder.passkey_id) in done
    assert ("account_change", "passkey_removed", None) in done


async def test_the_options_name_nobody(gateway: httpx2.AsyncClient) -> None:
    options = (await gateway.post(f"{STAFF}/passkey-challenges")).json()["options"]
    assert set(options) == {"challenge", "rpId", "userVerification"}
    assert (options["rpId"], options["userVerification"]) == ("localhost", "required")


async def test_keys_that_devices_share_have_no_counter(enrol: Enrol) -> None:
    holder = await enrol("clerk", count=0)
    for _ in range(2):
        assert (await holder.log_in()).status_code == 201
    assert holder.authenticator.count == 0


async def test_several_passkeys_of_an_account(enrol: Enrol, stack: RunningStack) -> None:
    first, second = await enrol("clerk"), own_authenticator(stack)
    challenge = (await begin(first.session, first.staff, first.staff.next_code())).raise_for_status().json()
    excluded = [each["id"] for each in challenge["options"]["excludeCredentials"]]
    assert len(excluded) == 1
    made = await add(first.session, challenge, second.create(challenge["options"]), "手机")
    assert made.status_code == 201
    holder = Holder(first.staff, first.session, second, made.json()["passkey_id"])
    for each in (first, holder):
        assert (await each.log_in()).status_code == 201
    assert (await first.session.call("DELETE", f"{OWN_PASSKEYS}/{first.passkey_id}")).status_code == 204
    problem(await first.log_in(), 401, "login_failed")
    assert (await holder.log_in()).status_code == 201


async def test_an_account_has_a_limited_number(enrol: Enrol, inside: Dependencies, stack: RunningStack) -> None:
    holder = await enrol("clerk")
    staff = await inside.store.staff.get(staff_id(holder.staff.login["username"]))
    assert staff
    copies = [
        staff.passkeys[0].model_copy(update={"id": own_id(), "credential_id": own_id()})
        for _ in range(MAX_PASSKEYS - 1)
    ]
    for each in copies:
        staff = staff.passkey_added(each, at=staff.updated_at, by="a test")
        await inside.store.staff.replace(staff)
    problem(await begin(holder.session, holder.staff, holder.staff.next_code()), 409, "too_many_passkeys")


async def test_an_admin_sees_and_removes_anothers(enrol: Enrol, hire: Hire) -> None:
    holder, admin, other = await enrol("clerk"), await hire("admin"), await hire("clerk")
    path = f"{STAFF}/{staff_id(holder.staff.login['username'])}/passkeys"
    for call in (("GET", path), ("DELETE", f"{path}/{holder.passkey_id}")):
        problem(await other.call(*call), 403, "forbidden")
    assert [each["passkey_id"] for each in (await admin.call("GET", path)).json()["items"]] == [holder.passkey_id]
    assert (await admin.call("DELETE", f"{path}/{holder.passkey_id}")).status_code == 204
    await refused_everywhere(holder.session, "passkey_removed")
    problem(await holder.log_in(), 401, "login_failed")


@pytest.mark.parametrize(("body", "works"), [({}, False), ({"password": False, "totp": False}, False)])
async def test_a_reset_removes_passkeys(enrol: Enrol, hire: Hire, body: dict[str, bool], works: bool) -> None:
    """Otherwise a thief who added one would keep it."""
    holder, admin = await enrol("clerk"), await hire("admin")
    path = f"{STAFF}/{staff_id(holder.staff.login['username'])}/reset"
    assert (await admin.call("POST", path, json=body)).status_code == 200
    assert (await holder.log_in()).status_code == (201 if works else 401)


async def test_a_reset_may_leave_passkeys(enrol: Enrol, hire: Hire) -> None:
    holder, admin = await enrol("clerk"), await hire("admin")
    path = f"{STAFF}/{staff_id(holder.staff.login['username'])}"
    assert (await admin.call("POST", f"{path}/reset", json={"passkeys": False})).status_code == 200
    answer = await holder.log_in()
    assert (answer.status_code, answer.json()["roles"]) == (201, []), "the password has to be chosen first"


async def test_a_disabled_account_has_no_use_of_it(enrol: Enrol, hire: Hire) -> None:
    holder, admin = await enrol("clerk"), await hire("admin")
    path = f"{STAFF}/{staff_id(holder.staff.login['username'])}"
    assert (await admin.call("POST", f"{path}/disable")).status_code == 200
    problem(await holder.log_in(), 401, "login_failed")
    assert (await admin.call("POST", f"{path}/enable")).status_code == 200
    assert (await holder.log_in()).status_code == 201


async def test_a_temporary_password_adds_none(hire: Hire, inside: Dependencies) -> None:
    """The admin who issued the password knows both factors, and would keep a passkey of the account."""
    clerk, admin = await hire("clerk"), await hire("admin")
    path = f"{STAFF}/{staff_id(clerk.login['username'])}/reset"
    made = (await admin.call("POST", path, json={})).json()
    again = Staff(clerk.http, clerk.login | {name: made[name] for name in ("password", "totp_secret")})
    problem(await begin(await session_of(inside, again), again), 409, "password_change_required")


async def test_of_concurrent_log_ins_all_are_right(enrol: Enrol) -> None:
    """Each stores a counter in the same document."""
    holder = await enrol("clerk", count=0)
    answers = await asyncio.gather(*(holder.log_in() for _ in range(4)))
    assert {each.status_code for each in answers} == {201}, [each.text for each in answers]


async def test_a_known_credential_belongs_to_one_account(enrol: Enrol, stack: RunningStack) -> None:
    first, second = await enrol("clerk"), await enrol("clerk")
    same: Authenticator = first.authenticator
    challenge = (await begin(second.session, second.staff, second.staff.next_code())).raise_for_status().json()
    problem(await add(second.session, challenge, same.create(challenge["options"])), 409, "passkey_known")
    assert (await first.log_in()).status_code == 201
