"""The change feed at its public API."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from services.subscriptions.feed.domain import read_cursor, write_cursor
from services.subscriptions.settings import FeedSettings
from tests.support.change_clients import CHANGES, Client
from tests.support.people import Person
from tests.support.problems import problem, retry_after_seconds
from tests.support.stack import RunningStack
from tests.support.subscriber import Subscriber, headers_of
from tests.support.waiting import eventually

FUTURE = "2099-01-01T00:00:00Z"


def partitions(stack: RunningStack) -> int:
    return int(stack.environment("subscriptions-api")["KAFKA__PARTITIONS"])


async def first_events(client: Client, cursor: str, person: Person, count: int) -> list[dict[str, Any]]:
    """The first `count` events about a person after a cursor."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        answer = await client.changes(after=cursor, wait=20)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["items"], f"{len(found)} of {count} events"
        cursor = body["next_cursor"]
        found += [event for event in body["items"] if event.get("partitionkey") == person.id]
    return found


async def test_a_change_is_the_event_that_kafka_carries(client: Client, person: Person, stack: RunningStack) -> None:
    cursor, subscriber = await client.end(), Subscriber(stack.kafka, "records.changes")
    await subscriber.skip()
    record = await person.created()
    await person.change(record["record_id"], 1, record["data"] | {"major": "结构工程"})
    first, second = await first_events(client, cursor, person, 2)
    records = [one for one in await subscriber.read() if headers_of(one)["ce_partitionkey"] == person.id]
    for event, one in zip((first, second), records, strict=True):
        headers = headers_of(one)
        assert {name.removeprefix("ce_"): text for name, text in headers.items() if name.startswith("ce_")} == {
            name: text for name, text in event.items() if name not in ("data", "datacontenttype")
        }
        assert event["datacontenttype"] == headers["content-type"]
        assert event["data"] == httpx2.Response(200, content=one.value).json()
    assert (first["data"]["version"], second["data"]["version"]) == (1, 2)
    assert second["data"]["data"]["major"] == "结构工程"


async def test_a_waiting_poll_returns_when_an_event_arrives(client: Client, person: Person) -> None:
    cursor = await client.end()
    waiting = asyncio.create_task(first_events(client, cursor, person, 1))
    await asyncio.sleep(0.5)
    record = await person.created()
    (event,) = await waiting
    assert event["subject"] == record["record_id"]


async def test_nothing_new_is_an_empty_page_with_a_cursor(client: Client) -> None:
    answer = (await client.changes(after=await client.end())).json()
    again = (await client.changes(after=answer["next_cursor"], wait=1)).json()
    assert (answer["items"], again["items"]) == ([], [])


async def test_a_start_time_leaves_out_earlier_events(client: Client, person: Person) -> None:
    before = await person.created()
    await first_events(
        client, (await client.changes(since="2001-01-01T00:00:00Z", limit=1)).json()["next_cursor"], person, 1
    )
    moment = datetime.now(UTC).isoformat()
    after = await person.created()

    async def subjects() -> list[str]:
        answer = (await client.changes(since=moment, limit=500, wait=5)).json()
        found = [event["subject"] for event in answer["items"]]
        return found if after["record_id"] in found else []

    assert before["record_id"] not in await eventually(subjects, 20, "the later record is in the feed")


async def test_pages_from_the_beginning_are_the_whole_topic(client: Client, stack: RunningStack) -> None:
    places: list[tuple[str, str]] = []
    query: dict[str, Any] = {}
    while (page := (await client.changes(limit=200, **query)).json())["items"]:
        places += [(event.get("partitionkey") or event["subject"], event["id"]) for event in page["items"]]
        query = {"after": page["next_cursor"]}
    subscriber = Subscriber(stack.kafka, "records.changes")
    topic = [(headers_of(one)["ce_partitionkey"], headers_of(one)["ce_id"]) for one in await subscriber.read()]
    forgotten = [
        (headers_of(one).get("ce_partitionkey") or one.key.decode(), f"{one.topic}:{one.partition}:{one.offset}")
        for one in subscriber.tombstones
    ]
    assert sorted(places) == sorted(topic + forgotten)
    person = topic[-1][0]
    in_order = [place for place in places if place[0] == person and place not in forgotten]
    assert in_order == [one for one in topic if one[0] == person]


async def test_only_clients_with_the_scope_may_follow(
    client: Client, new_client: Callable[..., Client], person: Person, gateway: httpx2.AsyncClient
) -> None:
    problem(await gateway.get(CHANGES), 401, "unauthorized")
    problem(await new_client("records:read").changes(), 403, "forbidden")
    problem(await person.call("GET", CHANGES), 403, "forbidden")
    assert (await client.changes(limit=1)).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        {"after": "x"}, {"after": ""}, {"after": "WzJd"}, {"after": "W10"}, {"after": "WzEsLTFd"}, {"limit": 0},
        {"limit": 501}, {"wait": 31}, {"wait": -1}, {"since": "yesterday"}, {"since": "2026-01-01T00:00:00"},
        {"since": "1767225600"}, {"since": FUTURE, "after": "WzEsMF0"},
    ],
)  # fmt: skip
async def test_an_invalid_query_is_refused(client: Client, query: dict[str, Any]) -> None:
    answer = await client.changes(**query)
    assert answer.status_code == 422, answer.text
    problem(answer, 422, "invalid_fields")


async def test_a_cursor_beyond_the_topic_is_gone(client: Client, stack: RunningStack) -> None:
    offsets = read_cursor(await client.end(), partitions(stack))
    beyond = [offset + 1_000_000 for offset in offsets]
    problem(await client.changes(after=write_cursor(beyond)), 410, "cursor_expired")
    problem(await client.changes(after=write_cursor([*offsets, 0])), 410, "cursor_expired")


async def test_waiting_polls_per_client_are_limited(client: Client, person: Person) -> None:
    cursor, most = await client.end(), FeedSettings().polls
    waiting = [asyncio.create_task(client.changes(after=cursor, wait=30)) for _ in range(most)]
    refused = await eventually(lambda: _refusal(client, cursor), 20, "one more is refused")
    assert retry_after_seconds(refused) > 0
    await person.created()
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}


async def _refusal(client: Client, cursor: str) -> Any:
    answer = await client.changes(after=cursor)
    return answer if answer.status_code == 429 else None
