"""Following records over HTTP while processes are killed: the feed equals the topic, webhooks lose nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import httpx2
from starlette.responses import Response

from kit.security.tokens import TokenIssuer
from tests.faults.conftest import Run
from tests.support.change_clients import CHANGES, Client, Follower, by_person, first_times
from tests.support.names import seeded
from tests.support.problems import problem
from tests.support.receiver import Event, receiving
from tests.support.scale import scaled
from tests.support.subscriber import headers_of
from tests.support.waiting import eventually

RATE = 250
CATCHES_UP_WITHIN = 120


def of_topic(run: Run) -> dict[str, list[str]]:
    """The events of the run's people in the topic, in order per person."""
    found: dict[str, list[str]] = {}
    for record in run.subscriber.records:
        headers = headers_of(record)
        if headers["ce_partitionkey"] in run.persons:
            found.setdefault(headers["ce_partitionkey"], []).append(headers["ce_id"])
    return found


async def written(run: Run, count: int, random: Random, trouble: Callable[[], Awaitable[Any]]) -> None:
    """People write `count` records while `trouble` is repeated."""
    async with run.load(RATE) as log:
        while len(log.acknowledged) < count:
            await asyncio.sleep(random.uniform(1.0, 2.0))
            await trouble()


async def test_the_feed_equals_the_topic_despite_kills(
    run: Run, gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> None:
    random = seeded()
    client = Client(gateway, issuer)
    follower = Follower(client, await client.end())

    async def kill() -> None:
        await run.processes.kill(random.choice(["subscriptions-api", "subscriptions-api", "records-worker"]))

    async with follower.running():
        await written(run, scaled(20_000, 600), random, kill)
        await run.settled()
        expected = of_topic(run)

        async def caught_up() -> bool:
            return len(mine(follower.events, run)) >= sum(map(len, expected.values()))

        await eventually(caught_up, CATCHES_UP_WITHIN, "the follower has caught up")
    print(f"{len(follower.events)} events, {follower.troubles} answers missing")
    assert by_person(mine(follower.events, run)) == expected


def mine(events: list[Event], run: Run) -> list[Event]:
    return [event for event in events if event.get("partitionkey") in run.persons]


async def test_a_failing_receiver_gets_everything_in_order_despite_kills(
    run: Run, gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> None:
    random = seeded()

    def fails_often(_event: Event) -> Response:
        return Response(status_code=503 if random.random() < 0.3 else 200)

    async with receiving(fails_often) as receiver:
        client = Client(gateway, issuer)
        await client.registered(receiver.url)
        await written(run, scaled(20_000, 300), random, lambda: run.processes.kill("subscriptions-worker"))
        await run.settled()
        expected = of_topic(run)

        async def all_there() -> bool:
            return {call.headers["webhook-id"] for call in receiver.calls if call.taken} >= {
                identity for ids in expected.values() for identity in ids
            }

        await eventually(all_there, scaled(900, CATCHES_UP_WITHIN), "everything is delivered", pause=0.5)
        got = by_person(mine(receiver.events(), run))
        await client.forget()
        calls, repeated = len(receiver.calls), sum(map(len, got.values())) - sum(map(len, expected.values()))
    print(f"{calls} calls for {sum(map(len, expected.values()))} events, {repeated} taken twice")
    assert {person: first_times(ids) for person, ids in got.items()} == expected


async def test_without_kafka_the_feed_is_unavailable_and_recovers(
    run: Run, gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> None:
    client = Client(gateway, issuer)
    cursor = await client.end()
    async with run.processes.down("kafka"):

        async def refused() -> httpx2.Response | None:
            nonlocal cursor
            answer = await client.changes(after=cursor, wait=1)
            if answer.status_code != 200:
                return answer
            cursor = answer.json()["next_cursor"]  # events of other writes just before, and of checked scans
            return None

        answer, earlier = await asyncio.gather(
            eventually(refused, 40, "the feed misses Kafka"),
            client.call("GET", CHANGES, params={"since": "2026-01-01T00:00:00Z"}),
        )
        assert answer is not None
        problem(answer, 503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        problem(earlier, 503, "unavailable")
        await run.people[0].created()  # no write waits for Kafka

    async def written_meanwhile() -> Any:
        answer = await client.changes(after=cursor, wait=10)
        return answer.json()["items"] if answer.status_code == 200 else None

    assert await eventually(written_meanwhile, 60, "what was written meanwhile")
