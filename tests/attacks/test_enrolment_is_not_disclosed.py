"""Trying phones for a document number reveals nothing at the limit, and does not lock its owner out."""

from collections.abc import Callable

import httpx2

from deploy.local.people import random_phone
from tests.attacks.conftest import IdentityApi
from tests.support.identity_clients import LoginPage, Window
from tests.support.problems import problem, retry_after_seconds


async def test_beyond_the_limit_the_right_phone_gets_the_same_response_as_a_wrong_one(
    identity_api: IdentityApi, window: Window, login_from: Callable[[httpx2.AsyncClient], LoginPage]
) -> None:
    citizen = await window.enrolled()
    async with identity_api(not_enrolled_per_hour=3) as from_:
        stranger = login_from(from_("198.51.100.1"))
        for _ in range(3):
            problem(await stranger.ask(citizen, phone=random_phone()), 403, "not_enrolled", *citizen.secrets)
        wrong, right = await stranger.ask(citizen, phone=random_phone()), await stranger.ask(citizen)
        waits = [retry_after_seconds(answer, *citizen.secrets) for answer in (wrong, right)]
        assert abs(waits[0] - waits[1]) <= 5
        assert (await login_from(from_("198.51.100.9")).ask(citizen)).status_code == 429, "the same network"
        assert (await login_from(from_("203.0.113.7")).ask(citizen)).status_code == 202, "the owner, elsewhere"
