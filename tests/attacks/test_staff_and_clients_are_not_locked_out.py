"""Floods of password hashing and guesses at one account lock nobody out but their senders."""

import asyncio
from collections import Counter

import httpx2
import pytest

from tests.attacks.conftest import IdentityApi
from tests.support.identity_clients import Staff
from tests.support.names import own_name
from tests.support.problems import problem, retry_after_seconds
from tests.support.stack import RunningStack
from tests.support.staffing import Hire

TOKEN, SESSIONS = "/api/identity/oauth/token", "/api/identity/staff/sessions"
GRANT = {"grant_type": "client_credentials"}


async def guess(http: httpx2.AsyncClient, username: str = "") -> httpx2.Response:
    body = {"username": username or own_name("nobody"), "password": "guess", "totp": "000000"}
    return await http.post(SESSIONS, json=body)


async def logs_in(staff: Staff, http: httpx2.AsyncClient) -> None:
    answer = await Staff(http, staff.login).try_to_log_in()
    assert answer.status_code == 201, answer.text


async def test_a_flood_of_log_ins_from_one_network_is_refused_and_others_log_in(
    identity_api: IdentityApi, hire: Hire
) -> None:
    clerk = await hire("clerk")
    async with identity_api(hashings_per_network=40) as from_:
        flood = [guess(from_(f"198.51.100.{place % 250}")) for place in range(80)]
        answers = await asyncio.gather(*flood, logs_in(clerk, from_("203.0.113.7")))
    seen = Counter(answer.status_code for answer in answers if answer)
    assert set(seen) == {401, 429}, seen
    assert seen[401] <= 40


async def test_no_secret_is_hashed_for_an_invented_client_id(identity_api: IdentityApi, hire: Hire) -> None:
    """Otherwise eight of a network would wait, and the others be refused with 429."""
    clerk = await hire("clerk")
    async with identity_api() as from_:
        stranger = from_("198.51.100.1")
        flood = [stranger.post(TOKEN, data=GRANT, auth=(own_name("client"), "secret")) for _ in range(60)]
        answers = await asyncio.gather(*flood)
        await logs_in(clerk, from_("198.51.100.2"))
    for answer in answers:
        problem(answer, 401, "invalid_client")


async def test_guesses_at_a_clients_secret_do_not_lock_the_client_out(
    identity_api: IdentityApi, stack: RunningStack
) -> None:
    demo = stack.facts["demo"]["client"]
    async with identity_api(wrong_secrets_per_address=5) as from_:
        stranger = from_("198.51.100.1")
        wrong = [await stranger.post(TOKEN, data=GRANT, auth=(demo["client_id"], "guess")) for _ in range(8)]
        assert [answer.status_code for answer in wrong] == [401] * 5 + [429] * 3
        retry_after_seconds(wrong[-1])
        right = demo["client_id"], demo["client_secret"]
        assert (await stranger.post(TOKEN, data=GRANT, auth=right)).status_code == 429, "guessing on tells nothing"
        for _ in range(8):
            assert (await from_("203.0.113.7").post(TOKEN, data=GRANT, auth=right)).status_code == 200


async def test_guesses_at_a_member_of_staff_do_not_lock_them_out(identity_api: IdentityApi, hire: Hire) -> None:
    clerk = await hire("clerk")
    async with identity_api() as from_:
        for network in range(15):
            problem(await guess(from_(f"198.51.{network}.1"), clerk.login["username"]), 401, "login_failed")
        await logs_in(clerk, from_("203.0.113.7"))


async def test_one_network_has_one_limit_over_all_usernames(identity_api: IdentityApi) -> None:
    async with identity_api(hashings_per_network=6) as from_:
        statuses = [(await guess(from_(f"198.51.100.{place}"))).status_code for place in range(9)]
        assert statuses == [401] * 6 + [429] * 3
        assert (await guess(from_("198.51.101.1"))).status_code == 401


@pytest.mark.parametrize("text", ["2001:db8:7:1:{:x}::1", "2001:db8:7:1::{:x}"])
async def test_all_addresses_of_an_ipv6_subscriber_count_as_one(identity_api: IdentityApi, text: str) -> None:
    username = own_name("nobody")
    async with identity_api() as from_:
        statuses = [(await guess(from_(text.format(place + 1)), username)).status_code for place in range(5)]
        assert 429 in statuses, "the delay after three failures is the subscriber's"
        assert (await guess(from_("2001:db8:8::1"), username)).status_code == 401
