"""Guessing the codes of many people: five tries per code, and a city-wide limit that stops guessers only."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import pytest
from redis.asyncio import Redis

from tests.support.identity_clients import LoginPage, Window, another, crowd
from tests.support.names import seeded
from tests.support.own_services import identity
from tests.support.problems import problem, retry_after_seconds
from tests.support.scale import scaled
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

PEOPLE, GUESSES = scaled(400, 30), 6
OWN_DATABASE = 9


@dataclass
class City:
    """People with a code each, and APIs whose limits are counted separately from those of other tests."""

    stack: RunningStack
    monkeypatch: pytest.MonkeyPatch
    codes: dict[str, str]

    @asynccontextmanager
    async def api_from(self, address: str, **limits: int) -> AsyncIterator[httpx2.AsyncClient]:
        own = {f"LIMITS__{name.upper()}": str(value) for name, value in limits.items()}
        redis = self.stack.redis_url(OWN_DATABASE)
        async with identity(
            self.stack, self.monkeypatch, address=address, settings=own | {"REDIS__URL": redis}
        ) as http:
            yield http


async def tried(http: httpx2.AsyncClient, challenge: str, code: str) -> httpx2.Response:
    return await http.post("/api/identity/login/sessions", json={"challenge_id": challenge, "code": code})


async def with_codes(window: Window, login_page: LoginPage, people: int) -> dict[str, str]:
    """People who have requested a code: challenge → code."""
    return {challenge: code for _, challenge, code in await crowd(window, login_page, people)}


@pytest.fixture
async def city(
    stack: RunningStack, window: Window, login_page: LoginPage, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[City]:
    yield City(stack, monkeypatch, await with_codes(window, login_page, 8))
    async with Redis.from_url(stack.redis_url(OWN_DATABASE)) as redis:
        await redis.flushdb()


async def test_of_guesses_over_many_people_five_per_code_are_checked(
    gateway: httpx2.AsyncClient, window: Window, login_page: LoginPage, city: City
) -> None:
    codes = await with_codes(window, login_page, PEOPLE)
    guesses = [challenge for challenge in codes for _ in range(GUESSES)]
    seeded().shuffle(guesses)
    few, judged, answers = asyncio.Semaphore(20), Counter[str](), Counter[int]()
    async with city.api_from("10.0.0.1", wrong_codes_per_address=10_000, wrong_codes_in_city=10_000) as http:

        async def guess(challenge: str) -> None:
            async with few:
                answer = await tried(http, challenge, another(codes[challenge]))
            answers[answer.status_code] += 1
            judged[challenge] += answer.status_code == 401

        await asyncio.gather(*map(guess, guesses))
    assert answers == {401: PEOPLE * 5, 410: PEOPLE * (GUESSES - 5)}
    assert set(judged.values()) == {5}


async def test_a_guessing_address_is_stopped_and_others_are_not(city: City) -> None:
    (mine, code), *others = city.codes.items()
    async with city.api_from("10.0.0.2", wrong_codes_per_address=4) as http:
        for challenge, right in others[:4]:
            problem(await tried(http, challenge, another(right)), 401, "code_wrong")
        assert 60 < retry_after_seconds(await tried(http, mine, code), code) <= 3600
    async with city.api_from("10.0.0.3", wrong_codes_per_address=4) as http:
        assert (await tried(http, mine, code)).status_code == 201


async def test_at_the_city_wide_limit_guessers_have_few_tries_and_people_log_in(city: City) -> None:
    limits = {"wrong_codes_in_city": 4, "wrong_codes_in_alarm": 2}
    (mine, code), *others = city.codes.items()
    for place, (challenge, right) in enumerate(others[:4]):
        async with city.api_from(f"10.0.1.{place}", **limits) as http:
            problem(await tried(http, challenge, another(right)), 401, "code_wrong")
    async with city.api_from("10.0.2.1", **limits) as http:  # the city-wide limit is reached
        statuses = [(await tried(http, challenge, another(right))).status_code for challenge, right in others[4:7]]
        assert statuses == [401, 401, 429]
    async with city.api_from("10.0.2.2", **limits) as http:
        assert (await tried(http, mine, code)).status_code == 201


async def test_codes_for_the_whole_city_are_limited(
    window: Window, city: City, login_page: LoginPage, redis: "Redis"
) -> None:
    async with (
        city.api_from("10.0.3.1", codes_in_city_per_minute=2) as http,
        Redis.from_url(city.stack.redis_url(OWN_DATABASE), decode_responses=True) as own,
    ):
        page = LoginPage(http, own, login_page.inbox)
        people = [await window.enrolled() for _ in range(4)]
        answers = [await page.ask(citizen) for citizen in people]
        assert [answer.status_code for answer in answers] == [202, 202, 429, 429]
        assert all(retry_after_seconds(answer) <= 60 for answer in answers[2:])

        async def sent() -> bool:
            return bool(sum([len(await login_page.messages(citizen.phone)) for citizen in people]) == 2)

        await eventually(sent, 20, "two codes are sent")


async def test_codes_per_person_are_limited_by_minute_hour_and_day_with_retry_after(
    window: Window, city: City, login_page: LoginPage
) -> None:
    """The limits of the minute and then of the hour are raised, so that the next one is reached."""
    citizen, counts, waits = await window.enrolled(), list[int](), list[int]()
    async with Redis.from_url(city.stack.redis_url(OWN_DATABASE), decode_responses=True) as own:
        for limits in ({}, {"codes_per_minute": 99}, {"codes_per_minute": 99, "codes_per_hour": 99}):
            await own.flushdb()
            async with city.api_from("10.0.4.1", **limits) as http:
                page = LoginPage(http, own, login_page.inbox)
                answers = [await page.ask(citizen) for _ in range(12)]
                counts.append([answer.status_code for answer in answers].count(202))
                waits.append(retry_after_seconds(answers[-1], *citizen.secrets))
    assert counts == [1, 5, 10]
    assert waits[0] <= 60 < waits[1] <= 3600 < waits[2] <= 24 * 3600


async def test_an_address_over_its_limit_gets_retry_after(city: City) -> None:
    async with city.api_from("10.0.5.1", per_address_per_minute=2) as http:
        answers = [await http.post("/api/identity/captchas") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert 1 <= retry_after_seconds(answers[-1]) <= 60


async def test_of_two_reached_limits_the_longer_wait_is_returned(
    window: Window, city: City, login_page: LoginPage
) -> None:
    citizen = await window.enrolled()
    async with (
        city.api_from("10.0.5.2", codes_per_hour=1) as http,
        Redis.from_url(city.stack.redis_url(OWN_DATABASE), decode_responses=True) as own,
    ):
        page = LoginPage(http, own, login_page.inbox)
        assert (await page.ask(citizen)).status_code == 202
        assert retry_after_seconds(await page.ask(citizen), *citizen.secrets) > 60
