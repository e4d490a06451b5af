"""The kit's clients of Redis and of Kafka's topics, on real servers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import typer
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from kit import kafka
from kit.core.errors import Reject, TooManyRequests, Unavailable
from kit.core.events import decode
from kit.kafka.topics import Topic, apply_topics, read_file
from kit.redis import RedisServer, Rule
from kit.settings import KafkaSettings, RedisSettings, ToolSettings
from tests.support.names import own_name
from tests.support.processes import free_port
from tests.support.stack import RunningStack
from tests.support.things import Things, running
from tests.support.topics import admin


@pytest_asyncio.fixture
async def redis(stack: RunningStack) -> AsyncIterator[RedisServer]:
    async with RedisServer(stack.redis, own_name("tests")) as server:
        yield server


async def test_of_a_hundred_concurrent_calls_as_many_pass_as_the_limit_allows(redis: RedisServer) -> None:
    rules = [Rule(10, 60), Rule(1_000, 3_600)]
    hits = (redis.limits.hit(rules, "phone", sentence="请稍后再试") for _ in range(100))
    answers = await asyncio.gather(*hits, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, TooManyRequests)]
    assert [len(refused), answers.count(None)] == [90, 10]
    assert 1 <= int((refused[0].headers or {})["Retry-After"]) <= 60
    await redis.limits.hit(rules, "another phone", sentence="请稍后再试")


async def test_of_many_concurrent_takes_of_a_value_one_gets_it(redis: RedisServer) -> None:
    await redis.cache.put("captcha", "abcd", 60)
    taken = await asyncio.gather(*(redis.cache.take("captcha") for _ in range(50)))
    assert sorted(filter(None, taken)) == ["abcd"]
    await redis.cache.put("token", "old", 60)
    swapped = await asyncio.gather(*(redis.cache.swap("token", "old", f"new-{n}", 60) for n in range(50)))
    assert swapped.count(True) == 1
    await redis.cache.drop("token")
    assert await redis.cache.get("token") is None


async def test_a_value_is_gone_after_its_lifetime(redis: RedisServer) -> None:
    await redis.cache.put("short", "lived", 1)
    assert await redis.cache.get("short") == "lived"
    await asyncio.sleep(1.2)
    assert await redis.cache.get("short") is None


async def test_without_redis_everything_is_unavailable_at_once() -> None:
    settings = RedisSettings.model_validate({"url": f"redis://127.0.0.1:{free_port()}/0"})
    async with asyncio.timeout(5), RedisServer(settings, "tests") as server:
        for call in (
            server.cache.put("a", "b", 1), server.cache.get("a"), server.cache.take("a"), server.cache.ping(),
            server.limits.hit([Rule(1, 1)], "a", sentence="请稍后再试"),
        ):  # fmt: skip
            with pytest.raises(Unavailable):
                await call


async def test_without_kafka_a_check_fails_at_once() -> None:
    with pytest.raises(Unavailable):
        await asyncio.wait_for(kafka.ping(KafkaSettings(servers=f"127.0.0.1:{free_port()}")), 5)


async def test_topics_are_created_once_and_reconfigured_but_keep_their_partitions(
    stack: RunningStack, capsys: pytest.CaptureFixture[str]
) -> None:
    name = own_name("topic")
    settings = ToolSettings(kafka=stack.kafka_settings(partitions=2))
    try:
        await apply_topics(settings, [Topic(name=name, config={"retention.ms": "60000"})])
        assert f"created {name} (2 partitions)" in capsys.readouterr().out
        await apply_topics(settings, [Topic(name=name, config={"retention.ms": "120000"})])
        assert capsys.readouterr().out == ""
        with pytest.raises(typer.Exit) as caught:
            await apply_topics(settings, [Topic(name=name, partitions=3)])
        assert caught.value.exit_code == 1
        assert f"{name} has 2 partitions, wanted 3" in capsys.readouterr().err
    finally:
        async with admin(stack.kafka) as client:
            await client.delete_topics([name])


def test_every_group_of_the_file_has_both_its_topics() -> None:
    names = {topic.name for topic in read_file(Path("deploy/topics.yaml"))}
    dead = {name.removesuffix(".dead") for name in names if name.endswith(".dead")}
    assert dead
    assert {f"{group}.replay" for group in dead} <= names


async def test_the_official_library_reads_what_we_write(things: Things) -> None:
    (thing,) = await things.write(1)
    async with running(things.publisher):
        await things.seen(1)
    record = things.subscriber.records[0]
    message = KafkaMessage(dict(record.headers), None, record.value)
    event = from_binary(message, JSONFormat())
    assert event.get_specversion() == "1.0"
    assert event.get_type() == "things.thing.changed.v1"
    assert event.get_source() == f"/{things.name}"
    assert event.get_id() == f"{thing.id}:1"
    assert event.get_subject() == thing.id
    assert event.get_time() == thing.updated_at
    assert event.get_extension("sequence") == "1"
    assert event.get_extension("partitionkey") == thing.practitioner_id
    assert event.get_datacontenttype() == "application/json"
    data = event.get_data()
    assert isinstance(data, dict)
    assert (data["thing_id"], data["text"], data["version"]) == (thing.id, thing.text, 1)
    assert decode(record.headers, record.value).version == 1


@pytest.mark.parametrize(
    "damage", ["ce_type", "ce_id", "ce_source", "ce_subject", "ce_sequence", "ce_partitionkey", "ce_specversion"]
)
def test_a_record_that_is_not_a_valid_event_is_refused(damage: str) -> None:
    names = ("ce_type", "ce_id", "ce_source", "ce_subject", "ce_partitionkey")
    headers = [("ce_specversion", b"1.0"), ("ce_sequence", b"1"), *((name, b"x") for name in names)]
    decode(headers, b"{}")
    without = [header for header in headers if header[0] != damage]
    for wrong in (without, [*without, (damage, b"\xff")], [*headers, (damage, b"1")]):
        with pytest.raises(Reject):
            decode(wrong, b"{}")
    with pytest.raises(Reject):
        decode(headers, None)
