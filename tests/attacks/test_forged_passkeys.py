"""Log-ins and registrations with responses that no honest browser sends."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from services.identity.accounts.domain import staff_id
from services.identity.wiring.shared import Dependencies
from tests.support.authenticator import (
    FLAG,
    OWN_PASSKEYS,
    Enrol,
    Holder,
    Json,
    add,
    answer,
    begin,
    login_challenge,
    own_authenticator,
    session_of,
)
from tests.support.events import SecurityLog
from tests.support.names import own_id
from tests.support.own_services import identity
from tests.support.problems import problem, retry_after_seconds
from tests.support.stack import RunningStack
from tests.support.staffing import Hire

PHISHED = "http://localhost.example.cn"
Forge = Callable[[Holder, Holder], Awaitable[httpx2.Response]]


async def _replayed(holder: Holder, other: Holder) -> httpx2.Response:
    challenge = await login_challenge(holder.staff.http)
    credential = holder.authenticator.get(challenge["options"])
    assert (await answer(holder.staff.http, challenge, credential)).status_code == 201
    return await answer(holder.staff.http, challenge, credential)


async def _of_another_challenge(holder: Holder, other: Holder) -> httpx2.Response:
    first, second = await login_challenge(holder.staff.http), await login_challenge(holder.staff.http)
    return await answer(holder.staff.http, second, holder.authenticator.get(first["options"]))


async def _of_a_registration(holder: Holder, other: Holder) -> httpx2.Response:
    challenge = (await begin(holder.session, holder.staff, holder.staff.next_code())).raise_for_status().json()
    return await answer(holder.staff.http, challenge, holder.authenticator.get(challenge["options"]))


async def _phished(holder: Holder, other: Holder) -> httpx2.Response:
    return await holder.log_in(origin=PHISHED)


async def _in_a_frame(holder: Holder, other: Holder) -> httpx2.Response:
    return await holder.log_in(cross_origin=True)


async def _of_another_site(holder: Holder, other: Holder) -> httpx2.Response:
    return await holder.log_in(site="example.cn")


async def _not_verified(holder: Holder, other: Holder) -> httpx2.Response:
    return await holder.log_in(flags=FLAG.UP)


async def _not_present(holder: Holder, other: Holder) -> httpx2.Response:
    return await holder.log_in(flags=FLAG.UV)


async def _as_somebody_else(holder: Holder, other: Holder) -> httpx2.Response:
    """The own key, under another account's user handle."""
    return await holder.log_in(user=other.authenticator.user)


async def _with_anothers_credential(holder: Holder, other: Holder) -> httpx2.Response:
    """The own key, under another account's credential id."""
    challenge = await login_challenge(holder.staff.http)
    credential = holder.authenticator.get(challenge["options"], user=other.authenticator.user)
    stolen = other.authenticator.get(challenge["options"])
    return await answer(holder.staff.http, challenge, credential | {name: stolen[name] for name in ("id", "rawId")})


async def _two_ids(holder: Holder, other: Holder) -> httpx2.Response:
    challenge = await login_challenge(holder.staff.http)
    credential = holder.authenticator.get(challenge["options"])
    return await answer(
        holder.staff.http, challenge, credential | {"id": other.authenticator.get(challenge["options"])["id"]}
    )


async def _tampered(holder: Holder, other: Holder) -> httpx2.Response:
    challenge = await login_challenge(holder.staff.http)
    credential = holder.authenticator.get(challenge["options"])
    signature = credential["response"]["signature"]
    credential["response"]["signature"] = signature[:20] + ("A" if signature[20] != "A" else "B") + signature[21:]
    return await answer(holder.staff.http, challenge, credential)


async def _malformed(holder: Holder, other: Holder) -> httpx2.Response:
    challenge = await login_challenge(holder.staff.http)
    credential = holder.authenticator.get(challenge["options"])
    credential["response"]["authenticatorData"] = "AAAA"
    return await answer(holder.staff.http, challenge, credential)


async def _counted_back(holder: Holder, other: Holder) -> httpx2.Response:
    """As a copy of the key does."""
    holder.authenticator.count = 100
    assert (await holder.log_in()).status_code == 201
    holder.authenticator.count = 50
    return await holder.log_in()


async def _without_a_counter(holder: Holder, other: Holder) -> httpx2.Response:
    holder.authenticator.count = 0
    return await holder.log_in()


FORGED: dict[Forge, str] = {
    _replayed: "challenge_invalid", _of_a_registration: "challenge_invalid", _of_another_challenge: "passkey_wrong",
    _phished: "passkey_wrong", _in_a_frame: "passkey_wrong", _of_another_site: "passkey_wrong",
    _not_verified: "passkey_wrong", _not_present: "passkey_wrong", _as_somebody_else: "passkey_wrong",
    _with_anothers_credential: "passkey_wrong", _two_ids: "passkey_wrong", _tampered: "passkey_wrong",
    _malformed: "passkey_wrong", _counted_back: "passkey_copied", _without_a_counter: "passkey_copied",
}  # fmt: skip


@pytest.mark.parametrize(("forge", "cause"), FORGED.items(), ids=lambda value: getattr(value, "__name__", value))
async def test_a_forged_log_in_is_refused(
    enrol: Enrol, forge: Forge, cause: str, stack: RunningStack, gateway: httpx2.AsyncClient
) -> None:
    refused = await forge(await enrol("clerk"), await enrol("admin"))
    problem(refused, 401, "login_failed")
    event = await SecurityLog(stack, gateway).one(refused.headers["X-Request-Id"])
    assert (event["event"], event["outcome"], event["cause"]) == ("staff_login", "denied", cause)
    assert event["subject"].startswith("staff:")


async def test_an_unknown_passkey_is_refused(stack: RunningStack, gateway: httpx2.AsyncClient) -> None:
    challenge, stranger = await login_challenge(gateway), own_authenticator(stack, user=own_id())
    problem(await answer(gateway, challenge, stranger.get(challenge["options"])), 401, "login_failed")


async def test_failures_are_delayed_and_lock_nobody_out(enrol: Enrol, gateway: httpx2.AsyncClient) -> None:
    holder = await enrol("clerk")
    for _ in range(3):
        problem(await holder.log_in(site="example.cn"), 401, "login_failed")
    retry_after_seconds(await holder.log_in(site="example.cn"))
    assert (await holder.staff.try_to_log_in(totp=holder.staff.next_code())).status_code == 201


async def test_a_challenge_expires(enrol: Enrol, stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = await enrol("clerk")
    async with identity(stack, monkeypatch, settings={"PASSKEYS__LIFETIME_SECONDS": "1"}) as http:
        challenge = await login_challenge(http)
        credential = holder.authenticator.get(challenge["options"])
        assert (await answer(http, await login_challenge(http), credential)).status_code == 401
        await asyncio.sleep(1.2)
        problem(await answer(http, challenge, holder.authenticator.get(challenge["options"])), 401, "login_failed")


REFUSED: dict[str, Json] = {
    "another origin": {"origin": PHISHED}, "another site": {"site": "example.cn"}, "in a frame": {"cross_origin": True},
    "not verified": {"flags": FLAG.UP}, "not present": {"flags": FLAG.UV},
    "another challenge": {"challenge": "AAAA" * 11},
}  # fmt: skip


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
async def test_a_forged_registration_is_refused(
    hire: Hire, inside: Dependencies, stack: RunningStack, changes: dict[str, Any]
) -> None:
    clerk, authenticator = await hire("clerk"), own_authenticator(stack)
    session = await session_of(inside, clerk)
    challenge = (await begin(session, clerk)).raise_for_status().json()
    refused = await add(session, challenge, authenticator.create(challenge["options"], **changes))
    problem(refused, 422, "passkey_refused")
    again = await add(session, challenge, authenticator.create(challenge["options"]))
    problem(again, 422, "passkey_refused")  # the challenge is used up
    assert (await session.call("GET", OWN_PASSKEYS)).json()["items"] == []


async def test_a_stolen_session_adds_no_passkey(enrol: Enrol, hire: Hire, inside: Dependencies) -> None:
    """Neither without both factors, nor with the challenge of another session or of a log-in."""
    holder, clerk = await enrol("clerk"), await hire("clerk")
    thief = await session_of(inside, clerk)
    body = {"password": "a guess", "totp": clerk.code()}
    problem(await thief.call("POST", f"{OWN_PASSKEYS}/challenges", json=body), 403, "credentials_wrong")
    owner = await session_of(inside, clerk)
    begun = (await begin(owner, clerk, clerk.next_code())).raise_for_status().json()
    credential = holder.authenticator.create(begun["options"])
    problem(await add(thief, begun, credential), 422, "passkey_refused")
    challenge = await login_challenge(clerk.http)
    options = begun["options"] | {"challenge": challenge["options"]["challenge"]}
    problem(await add(thief, challenge, holder.authenticator.create(options)), 422, "passkey_refused")


async def test_a_registration_that_began_before_a_reset_is_refused(
    hire: Hire, inside: Dependencies, stack: RunningStack
) -> None:
    clerk, authenticator = await hire("clerk"), own_authenticator(stack)
    session = await session_of(inside, clerk)
    begun = (await begin(session, clerk)).raise_for_status().json()
    account = staff_id(clerk.login["username"])
    await inside.services.staff.replace_credentials(account, "a test", password=True, totp=True, passkeys=True)
    refused = await add(session, begun, authenticator.create(begun["options"]))
    assert refused.status_code in (401, 422), refused.text
    found = await inside.store.staff.get(account)
    assert found
    assert found.passkeys == ()
