"""The consumer and its dead letters on a real broker: order, retries, and when it stops."""

import asyncio
import gc
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import ClassVar

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from typer.testing import CliRunner

from kit.core.errors import Reject, TooManyDeadLetters, Unavailable
from kit.core.events import Event, EventData, Outgoing, encode
from kit.kafka import dead_letters
from kit.kafka.connections import options
from kit.messaging.consumer import Consumer, ConsumerPolicy
from kit.observability.metrics import consumer_lag
from tests.support.names import own_name
from tests.support.projection import Kept, consuming, own_projection
from tests.support.stack import RunningStack
from tests.support.things import TYPE, Things, running
from tests.support.topics import own_topics
from tests.support.waiting import eventually

Handle = Callable[[Event], Awaitable[None]]
WATCHFUL = ConsumerPolicy(measure_seconds=0.1)


class SampleEvent(EventData):
    TYPE: ClassVar[str] = "tests.sample.v1"
    TOPIC: ClassVar[str] = "samples"
    SUBJECT: ClassVar[str] = "sample_id"

    sample_id: str


def sample(identity: str, version: int = 1, person: str = "one") -> Outgoing:
    from kit.core.clock import SystemClock

    at = SystemClock().now()
    facts = {"version": version, "action": "changed", "changed": [], "updated_at": at, "practitioner_id": person}
    return encode(SampleEvent.of(facts, sample_id=identity), "/tests", 3)


@pytest_asyncio.fixture
async def kept(stack: RunningStack) -> AsyncIterator[Kept]:
    topic = own_name("samples")
    async with own_topics(stack.kafka, **{topic: 3}), own_projection(stack, [topic], SampleEvent.TYPE) as made:
        yield made


async def send(kept: Kept, *records: Outgoing) -> None:
    """Sends the records to one partition, in this order."""
    producer = AIOKafkaProducer(**options(kept.settings), enable_idempotence=True)
    await producer.start()
    try:
        for record in records:
            await producer.send(kept.topics[0], record.value, key=record.key, headers=record.headers, partition=0)
        await producer.flush()
    finally:
        await producer.stop()


@asynccontextmanager
async def handling(
    kept: Kept, handle: Handle, policy: ConsumerPolicy = ConsumerPolicy()
) -> AsyncIterator[asyncio.Task[None]]:
    """Runs the bare consumer, so that the error which ends it is raised in the test."""
    consumer = kept.consumer(handle, policy)
    task = asyncio.create_task(consumer.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, TooManyDeadLetters):
            await task


async def dead_letter_headers(kept: Kept) -> list[dict[str, bytes]]:
    return [
        dict(dead_letter.headers)
        for dead_letter in (await dead_letters.dead_letters(kept.settings, kept.group)).values()
    ]


async def until(enough: Callable[[], bool], what: str, within: float = 20) -> None:
    async def found() -> bool:
        return enough()

    await eventually(found, within, what)


async def test_versions_of_one_document_are_handled_in_order_and_documents_concurrently(kept: Kept) -> None:
    seen: dict[str, list[int]] = defaultdict(list)
    together, most = 0, 0

    async def handle(event: Event) -> None:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0.02)
        seen[event.subject].append(event.version)
        together -= 1

    await send(kept, *(sample(name, version) for version in range(1, 11) for name in "abcdefgh"))
    async with handling(kept, handle):
        await until(lambda: sum(map(len, seen.values())) == 80, "all are handled")
    assert set(map(tuple, seen.values())) == {tuple(range(1, 11))}
    assert most > 1


async def test_an_event_after_a_slow_one_does_not_wait_for_a_long_fetch(kept: Kept) -> None:
    """While the second event waits for the first, a request for the other partitions is on its way."""
    patient = replace(kept, settings=kept.settings.model_copy(update={"fetch_wait_ms": 14_000}))
    begun: list[str] = []
    done: list[str] = []

    async def handle(event: Event) -> None:
        begun.append(event.subject)
        await asyncio.sleep(0.5)
        done.append(event.subject)

    async with handling(patient, handle):
        await send(kept, sample("first"))
        await until(lambda: begun == ["first"], "the first is being handled")
        await send(kept, sample("second"))
        await until(lambda: len(done) == 2, "both are handled")
        await send(kept, sample("third"))
        await until(lambda: begun[-1] == "third", "the third is handled", within=7)


async def test_a_member_that_leaves_has_committed_what_it_did(kept: Kept) -> None:
    seen: list[str] = []

    async def handle(event: Event) -> None:
        seen.append(event.subject)

    for name in "abc":
        await send(kept, sample(name))
        async with handling(kept, handle, ConsumerPolicy(commit_seconds=60)):
            await until(lambda name=name: name in seen, f"{name} is handled")  # type: ignore[misc]
    assert seen == ["a", "b", "c"]


async def test_an_older_version_never_replaces_a_newer_one_and_handling_is_idempotent(kept: Kept) -> None:
    await send(kept, sample("a", 2), sample("a", 1), sample("a", 2), sample("b", 1), sample("b", 1))
    async with consuming(kept):
        await until_kept(kept, {"a": 2, "b": 1})


async def test_of_two_versions_inserted_concurrently_the_newer_stays(kept: Kept) -> None:
    """A replay and the topic itself are handled concurrently."""
    for number in range(40):
        identity = f"thing-{number}"
        events = [
            Event(SampleEvent.TYPE, "", "", identity, "one", version, b"") for version in (1, 2, 3, 4, 5, 6, 7, 8)
        ]
        await asyncio.gather(*map(kept.keep, events))
    found = await kept.database["kept"].find({"version": {"$ne": 8}}).to_list(None)
    assert found == []


async def until_kept(kept: Kept, expected: dict[str, int]) -> None:
    async def found() -> bool:
        documents = await kept.database["kept"].find().to_list(None)
        return {document["_id"]: document["version"] for document in documents} == expected

    await eventually(found, 20, f"{expected} is kept")


async def test_while_a_dependency_is_unavailable_it_waits_and_keeps_its_partition(kept: Kept) -> None:
    """The outage is longer than the two seconds of the session: the consumer stays a member, dead-letters nothing, and
    resumes afterwards.
    """
    unavailable, tries, done = asyncio.Event(), 0, 0
    unavailable.set()

    async def handle(_event: Event) -> None:
        nonlocal tries, done
        tries += 1
        if unavailable.is_set():
            raise Unavailable("the world")
        done += 1

    await send(kept, *(sample(name) for name in "abc"))
    async with handling(kept, handle) as task:
        await until(lambda: tries >= 6, "it has tried often")
        await asyncio.sleep(4)
        assert not task.done()
        unavailable.clear()
        await until(lambda: done == 3, "all are handled", within=25)
        assert not task.done()
    assert await dead_letter_headers(kept) == []


async def test_an_event_whose_handler_a_library_cancelled_is_handled_again(kept: Kept) -> None:
    """The consumer ends without a commit; the next member handles the event again."""
    seen: list[str] = []

    async def cut_off(_event: Event) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async def handle(event: Event) -> None:
        seen.append(event.subject)

    await send(kept, sample("a"))
    async with handling(kept, cut_off) as task:
        await asyncio.wait([task], timeout=20)
        assert task.cancelled()
    async with handling(kept, handle):
        await until(lambda: seen == ["a"], "it is handled")


async def test_a_consumer_can_be_restarted(kept: Kept) -> None:
    seen: list[str] = []

    async def handle(event: Event) -> None:
        seen.append(event.subject)

    consumer = Consumer(kept.group, kept.topics, {SampleEvent.TYPE: handle}, kept.settings, "one")
    for name in "ab":
        await send(kept, sample(name))
        task = asyncio.create_task(consumer.run())
        await until(lambda name=name: name in seen, f"{name} is handled")  # type: ignore[misc]
        task.cancel()
        await asyncio.wait([task])
    assert seen == ["a", "b"]


async def test_a_permanent_error_is_dead_lettered_at_once_with_its_cause_and_unchanged(kept: Kept) -> None:
    tries = 0

    async def handle(event: Event) -> None:
        nonlocal tries
        if event.subject == "bad":
            tries += 1
            raise Reject("no such thing")

    bad = sample("bad")
    await send(kept, sample("good"), bad, sample("good", 2))
    async with handling(kept, handle):
        await eventually(lambda: dead_letter_headers(kept), 20, "it is dead-lettered")
    ((identity, dead_letter),) = (await dead_letters.dead_letters(kept.settings, kept.group)).items()
    headers = dict(dead_letter.headers)
    assert tries == 1
    assert identity == f"{kept.topics[0]}/0/1"
    assert dead_letter.value == bad.value
    assert {name: headers[name] for name, _ in bad.headers} == dict(bad.headers)
    facts = ("dead_cause", "dead_group", "dead_topic", "dead_partition", "dead_offset", "dead_key")
    assert [headers[name].decode() for name in facts] == [
        "Reject: no such thing", kept.group, kept.topics[0], "0", "1", "bad"
    ]  # fmt: skip


async def test_an_unexpected_error_is_retried_three_times(kept: Kept) -> None:
    tries = 0

    async def handle(_event: Event) -> None:
        nonlocal tries
        tries += 1
        raise ZeroDivisionError

    await send(kept, sample("a"))
    async with handling(kept, handle):
        (headers,) = await eventually(lambda: dead_letter_headers(kept), 20, "it is dead-lettered")
    assert (tries, headers["dead_cause"]) == (3, b"ZeroDivisionError")


async def test_twenty_failures_in_a_row_stop_it_and_none_is_dead_lettered(kept: Kept) -> None:
    async def handle(_event: Event) -> None:
        raise Reject("all of them")

    await send(kept, *(sample(f"bad-{number}") for number in range(30)))
    async with handling(kept, handle) as task:
        with pytest.raises(TooManyDeadLetters):
            await asyncio.wait_for(asyncio.shield(task), 20)
    assert await dead_letter_headers(kept) == []
    done: list[str] = []

    async def repaired(event: Event) -> None:
        done.append(event.subject)

    async with handling(kept, repaired):
        await until(lambda: len(done) == 30, "a repaired one handles them all")


async def test_a_stopped_consumer_is_not_ready(kept: Kept) -> None:
    async def handle(_event: Event) -> None:
        raise Reject("all of them")

    await send(kept, *(sample(f"bad-{number}") for number in range(30)))
    consumer = Consumer(kept.group, kept.topics, {SampleEvent.TYPE: handle}, kept.settings, "one")
    with pytest.raises(TooManyDeadLetters):
        await asyncio.wait_for(consumer.run(), 20)
    with pytest.raises(RuntimeError, match="has ended: 20 in a row"):
        await consumer.stall.check()


async def test_more_than_a_twentieth_of_failures_stops_it(kept: Kept) -> None:
    async def handle(event: Event) -> None:
        if event.version % 10 == 0:
            raise Reject("every tenth")

    await send(kept, *(sample("a", version) for version in range(1, 600)))
    async with handling(kept, handle) as task:
        with pytest.raises(TooManyDeadLetters):
            await asyncio.wait_for(asyncio.shield(task), 20)
    assert len(await dead_letter_headers(kept)) <= 50


async def test_a_cancelled_handler_is_not_retried(kept: Kept) -> None:
    """Its partition belongs to another member by then."""
    begun = asyncio.Event()
    tries = 0

    async def handle(_event: Event) -> None:
        nonlocal tries
        tries += 1
        begun.set()
        await asyncio.sleep(60)

    await send(kept, sample("a"))
    async with handling(kept, handle):
        await asyncio.wait_for(begun.wait(), 20)
    assert tries == 1


async def test_it_is_not_ready_while_events_wait_and_none_is_handled(kept: Kept) -> None:
    stuck = asyncio.Event()

    async def handle(event: Event) -> None:
        if event.subject == "stuck":
            await stuck.wait()

    settings = kept.settings.model_copy(update={"stall_seconds": 1.0})
    consumer = Consumer(kept.group, kept.topics, {SampleEvent.TYPE: handle}, settings, "one", WATCHFUL)
    tasks = [asyncio.create_task(consumer.run()), asyncio.create_task(consumer.watch())]
    try:
        await send(kept, sample("stuck"))
        await eventually(lambda: is_not_ready(consumer), 20, "it is red")
        stuck.set()
        await eventually(lambda: is_ready(consumer), 20, "it is green again")
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_it_is_not_ready_when_only_its_own_client_cannot_reach_the_broker(kept: Kept) -> None:
    """As when aiokafka's lookup of the brokers has died: the client waits indefinitely, and its lag is unknown."""
    handled = asyncio.Event()

    async def handle(_event: Event) -> None:
        handled.set()

    settings = kept.settings.model_copy(update={"stall_seconds": 1.0, "call_timeout_seconds": 0.5})
    consumer = Consumer(kept.group, kept.topics, {SampleEvent.TYPE: handle}, settings, "one", WATCHFUL)
    tasks = [asyncio.create_task(consumer.run()), asyncio.create_task(consumer.watch())]
    try:
        await eventually(lambda: is_ready(consumer), 20, "it is green")
        await send(kept, sample("a"))
        await asyncio.wait_for(handled.wait(), 20)
        lose_the_brokers(kept.group)
        await eventually(lambda: is_not_ready(consumer), 20, "it is red")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def lag_of(consumer: Consumer) -> float:
    """The sum of the lags measured last."""
    samples = (sample for metric in consumer_lag.collect() for sample in metric.samples)
    return sum(sample.value for sample in samples if sample.labels["group"] == consumer.group)


def lose_the_brokers(group: str) -> None:
    """Ends the broker lookup of a member's client, as an error inside aiokafka would."""
    [client] = [
        each._client for each in gc.get_objects() if type(each) is AIOKafkaConsumer and each._group_id == group
    ]  # fmt: skip
    client._sync_task.cancel()
    client.force_metadata_update()


async def is_not_ready(consumer: Consumer) -> bool:
    try:
        await consumer.stall.check()
    except RuntimeError as error:
        return "stalled" in str(error)
    return False


async def is_ready(consumer: Consumer) -> bool:
    return not await is_not_ready(consumer)


def _operate(monkeypatch: pytest.MonkeyPatch, kept: Kept) -> None:
    """Sets what the command reads."""
    settings = kept.settings
    known = {"SERVERS": settings.servers, "USER": settings.user, "PASSWORD": settings.password.get_secret_value()}
    for name, value in known.items():
        monkeypatch.setenv(f"KAFKA__{name}", value)
    monkeypatch.setenv("TLS__CA", str(settings.ca))


@pytest.fixture
def command(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[str]]:
    """Runs `python -m kit.kafka.dead_letters` as an operator does."""
    _operate(monkeypatch, kept)
    monkeypatch.setenv("COLUMNS", "300")

    async def run(*arguments: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, dead_letters.app, arguments)
        assert result.exit_code == 0, result.output
        return result.output

    return run


async def test_dead_letters_are_listed_shown_replayed_to_their_group_only_and_dropped(
    kept: Kept, command: Callable[..., Awaitable[str]], stack: RunningStack
) -> None:
    repaired, seen, seen_by_others = False, [], []

    async def handle(event: Event) -> None:
        if event.subject.startswith("bad") and not repaired:
            raise Reject("not yet")
        seen.append(event.subject)

    async def other(event: Event) -> None:
        seen_by_others.append(event.subject)

    await send(kept, sample("good"), sample("bad-1"), sample("bad-2"), sample("bad-3"))
    async with (
        own_projection(stack, kept.topics, SampleEvent.TYPE) as other_group,
        handling(other_group, other),
        handling(kept, handle),
    ):
        await eventually(lambda: three(kept), 20, "three are dead-lettered")
        await until(lambda: len(seen_by_others) == 4, "the other group has handled them")
        listed = await command("list", kept.group)
        first, second, third = (f"{kept.topics[0]}/0/{offset}" for offset in (1, 2, 3))
        assert first in listed
        assert "Reject: not yet" in listed
        assert '"ce_subject": "bad-1"' in await command("show", kept.group, first)
        repaired = True
        assert "replayed 1" in await command("replay", kept.group, first)
        await until(lambda: seen == ["good", "bad-1"], "the dead letter is handled")
        assert "dropped 1" in await command("drop", kept.group, second)
        assert set(await dead_letters.dead_letters(kept.settings, kept.group)) == {third}
        assert "replayed 1" in await command("replay", kept.group, "all")
        await until(lambda: seen == ["good", "bad-1", "bad-3"], "the last one is handled")
    assert await dead_letter_headers(kept) == []
    assert len(seen_by_others) == 4


async def three(kept: Kept) -> bool:
    return len(await dead_letter_headers(kept)) == 3


async def test_the_error_names_an_unknown_dead_letter(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    _operate(monkeypatch, kept)
    for arguments in (["show", kept.group, "no/0/1"], ["drop", kept.group, "no/0/1"]):
        result = await asyncio.to_thread(CliRunner().invoke, dead_letters.app, arguments)
        assert result.exit_code != 0
        assert "no such dead letter" in result.output


async def test_a_record_without_a_value_is_dead_lettered_and_replayed_unchanged(kept: Kept) -> None:
    producer = AIOKafkaProducer(**options(kept.settings))
    await producer.start()
    await producer.send_and_wait(kept.topics[0], None, key=b"gone", headers=sample("gone").headers, partition=0)
    await producer.stop()

    async def handle(_event: Event) -> None: ...

    async with handling(kept, handle):
        await eventually(lambda: dead_letter_headers(kept), 20, "it is dead-lettered")
        assert await dead_letters.replay(kept.settings, kept.group, ["all"], "test")
        again = await eventually(lambda: dead_letter_headers(kept), 20, "it is dead-lettered again")
    assert again[0]["dead_topic"] == f"{kept.group}.replay".encode()
    assert again[0]["dead_cause"] == b"Reject: an event without data"


async def test_transaction_markers_do_not_count_as_lag(stack: RunningStack, things: Things) -> None:
    """Each transaction ends with a marker, which no consumer receives."""
    seen: list[str] = []

    async def handle(event: Event) -> None:
        seen.append(event.subject)

    async with own_projection(stack, [things.topic], TYPE) as kept, running(things.publisher):
        settings = kept.settings.model_copy(update={"stall_seconds": 0.5})
        consumer = Consumer(kept.group, kept.topics, {TYPE: handle}, settings, "one", WATCHFUL)
        tasks = [asyncio.create_task(consumer.run()), asyncio.create_task(consumer.watch())]
        try:
            for number in range(1, 11):
                await things.write(1)
                await until(lambda expected=number: len(seen) == expected, "it is handled")  # type: ignore[misc]
            await asyncio.sleep(3 * settings.stall_seconds)  # a marker that counted would make it stall, for ever
            await eventually(partial(is_ready, consumer), 10, "it is ready")
            assert lag_of(consumer) == 0
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
