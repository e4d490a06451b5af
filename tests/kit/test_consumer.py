"""The consumer and its dead letters, on a real broker: order, patience, and when it stops."""

import asyncio
import gc
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import ClassVar

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from typer.testing import CliRunner

from kit.core.errors import Reject, TooManyDeadLetters, Unavailable
from kit.core.events import Event, EventData, Outgoing, encode
from kit.kafka import dead_letters
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


class Told(EventData):
    TYPE: ClassVar[str] = "tests.told.v1"
    TOPIC: ClassVar[str] = "told"
    SUBJECT: ClassVar[str] = "told_id"

    told_id: str


def told(identity: str, version: int = 1, person: str = "one") -> Outgoing:
    from kit.core.clock import SystemClock

    at = SystemClock().now()
    facts = {"version": version, "action": "told", "changed": [], "updated_at": at, "practitioner_id": person}
    return encode(Told.of(facts, told_id=identity), "/tests", 3)


@pytest_asyncio.fixture
async def kept(stack: RunningStack) -> AsyncIterator[Kept]:
    topic = own_name("told")
    async with own_topics(stack.kafka, **{topic: 3}), own_projection(stack, [topic], Told.TYPE) as made:
        yield made


async def send(kept: Kept, *records: Outgoing) -> None:
    """In one partition, in this order."""
    producer = AIOKafkaProducer(bootstrap_servers=kept.settings.servers, enable_idempotence=True)
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
    """The bare consumer: what ends it can be seen."""
    consumer = kept.consumer(handle, policy)
    task = asyncio.create_task(consumer.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, TooManyDeadLetters):
            await task


async def letters(kept: Kept) -> list[dict[str, bytes]]:
    return [dict(letter.headers) for letter in (await dead_letters.dead_letters(kept.settings, kept.group)).values()]


async def until(enough: Callable[[], bool], what: str, within: float = 20) -> None:
    async def found() -> bool:
        return enough()

    await eventually(found, within, what)


async def test_versions_of_one_document_come_in_order_and_documents_beside_each_other(kept: Kept) -> None:
    seen: dict[str, list[int]] = defaultdict(list)
    together, most = 0, 0

    async def handle(event: Event) -> None:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0.02)
        seen[event.subject].append(event.version)
        together -= 1

    await send(kept, *(told(name, version) for version in range(1, 11) for name in "abcdefgh"))
    async with handling(kept, handle):
        await until(lambda: sum(map(len, seen.values())) == 80, "all are handled")
    assert set(map(tuple, seen.values())) == {tuple(range(1, 11))}
    assert most > 1


async def test_a_member_that_leaves_has_committed_what_it_did(kept: Kept) -> None:
    seen: list[str] = []

    async def handle(event: Event) -> None:
        seen.append(event.subject)

    for name in "abc":
        await send(kept, told(name))
        async with handling(kept, handle, ConsumerPolicy(commit_seconds=60)):
            await until(lambda name=name: name in seen, f"{name} is handled")  # type: ignore[misc]
    assert seen == ["a", "b", "c"]


async def test_older_never_beats_newer_and_twice_is_once(kept: Kept) -> None:
    await send(kept, told("a", 2), told("a", 1), told("a", 2), told("b", 1), told("b", 1))
    async with consuming(kept):
        await until_kept(kept, {"a": 2, "b": 1})


async def test_two_versions_that_race_for_the_first_place_leave_the_newer(kept: Kept) -> None:
    """A replay and the topic itself are handled at the same time."""
    for number in range(40):
        identity = f"thing-{number}"
        events = [Event(Told.TYPE, "", "", identity, "one", version, b"") for version in (1, 2, 3, 4, 5, 6, 7, 8)]
        await asyncio.gather(*map(kept.keep, events))
    found = await kept.database["kept"].find({"version": {"$ne": 8}}).to_list(None)
    assert found == []


async def until_kept(kept: Kept, expected: dict[str, int]) -> None:
    async def found() -> bool:
        documents = await kept.database["kept"].find().to_list(None)
        return {document["_id"]: document["version"] for document in documents} == expected

    await eventually(found, 20, f"{expected} is kept")


async def test_while_the_world_is_away_it_waits_and_keeps_its_partition(kept: Kept) -> None:
    """Longer than the session's two seconds: it remains a member, nothing is buried, and then it goes on."""
    away, tries, done = asyncio.Event(), 0, 0
    away.set()

    async def handle(_event: Event) -> None:
        nonlocal tries, done
        tries += 1
        if away.is_set():
            raise Unavailable("the world")
        done += 1

    await send(kept, *(told(name) for name in "abc"))
    async with handling(kept, handle) as task:
        await until(lambda: tries >= 6, "it has tried often")
        await asyncio.sleep(4)
        assert not task.done()
        away.clear()
        await until(lambda: done == 3, "all are handled", within=25)
        assert not task.done()
    assert await letters(kept) == []


async def test_what_a_library_cancelled_is_not_done(kept: Kept) -> None:
    """The consumer ends, and whoever comes next handles it again."""
    seen: list[str] = []

    async def cut_off(_event: Event) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async def handle(event: Event) -> None:
        seen.append(event.subject)

    await send(kept, told("a"))
    async with handling(kept, cut_off) as task:
        await asyncio.wait([task], timeout=20)
        assert task.cancelled()
    async with handling(kept, handle):
        await until(lambda: seen == ["a"], "it is handled")


async def test_a_consumer_can_be_begun_anew(kept: Kept) -> None:
    seen: list[str] = []

    async def handle(event: Event) -> None:
        seen.append(event.subject)

    consumer = Consumer(kept.group, kept.topics, {Told.TYPE: handle}, kept.settings, "one")
    for name in "ab":
        await send(kept, told(name))
        task = asyncio.create_task(consumer.run())
        await until(lambda name=name: name in seen, f"{name} is handled")  # type: ignore[misc]
        task.cancel()
        await asyncio.wait([task])
    assert seen == ["a", "b"]


async def test_a_refused_message_is_buried_at_once_with_its_cause_and_unchanged(kept: Kept) -> None:
    tries = 0

    async def handle(event: Event) -> None:
        nonlocal tries
        if event.subject == "bad":
            tries += 1
            raise Reject("no such thing")

    bad = told("bad")
    await send(kept, told("good"), bad, told("good", 2))
    async with handling(kept, handle):
        await eventually(lambda: letters(kept), 20, "it is buried")
    ((identity, letter),) = (await dead_letters.dead_letters(kept.settings, kept.group)).items()
    headers = dict(letter.headers)
    assert tries == 1
    assert identity == f"{kept.topics[0]}/0/1"
    assert letter.value == bad.value
    assert {name: headers[name] for name, _ in bad.headers} == dict(bad.headers)
    facts = ("dead_cause", "dead_group", "dead_topic", "dead_partition", "dead_offset", "dead_key")
    assert [headers[name].decode() for name in facts] == [
        "Reject: no such thing", kept.group, kept.topics[0], "0", "1", "bad"
    ]  # fmt: skip


async def test_an_unexpected_error_is_tried_three_times(kept: Kept) -> None:
    tries = 0

    async def handle(_event: Event) -> None:
        nonlocal tries
        tries += 1
        raise ZeroDivisionError

    await send(kept, told("a"))
    async with handling(kept, handle):
        (headers,) = await eventually(lambda: letters(kept), 20, "it is buried")
    assert (tries, headers["dead_cause"]) == (3, b"ZeroDivisionError")


async def test_twenty_bad_ones_in_a_row_stop_it_and_none_of_them_is_buried(kept: Kept) -> None:
    async def handle(_event: Event) -> None:
        raise Reject("all of them")

    await send(kept, *(told(f"bad-{number}") for number in range(30)))
    async with handling(kept, handle) as task:
        with pytest.raises(TooManyDeadLetters):
            await asyncio.wait_for(asyncio.shield(task), 20)
    assert await letters(kept) == []
    done: list[str] = []

    async def repaired(event: Event) -> None:
        done.append(event.subject)

    async with handling(kept, repaired):
        await until(lambda: len(done) == 30, "a repaired one handles them all")


async def test_one_that_stopped_is_not_ready_any_more(kept: Kept) -> None:
    async def handle(_event: Event) -> None:
        raise Reject("all of them")

    await send(kept, *(told(f"bad-{number}") for number in range(30)))
    consumer = Consumer(kept.group, kept.topics, {Told.TYPE: handle}, kept.settings, "one")
    with pytest.raises(TooManyDeadLetters):
        await asyncio.wait_for(consumer.run(), 20)
    with pytest.raises(RuntimeError, match="has ended: 20 in a row"):
        await consumer.standstill.check()


async def test_more_than_a_twentieth_stops_it_too(kept: Kept) -> None:
    async def handle(event: Event) -> None:
        if event.version % 10 == 0:
            raise Reject("every tenth")

    await send(kept, *(told("a", version) for version in range(1, 600)))
    async with handling(kept, handle) as task:
        with pytest.raises(TooManyDeadLetters):
            await asyncio.wait_for(asyncio.shield(task), 20)
    assert len(await letters(kept)) <= 50


async def test_a_handler_that_is_cut_off_is_not_tried_again(kept: Kept) -> None:
    """Its partition is somebody else's now."""
    begun = asyncio.Event()
    tries = 0

    async def handle(_event: Event) -> None:
        nonlocal tries
        tries += 1
        begun.set()
        await asyncio.sleep(60)

    await send(kept, told("a"))
    async with handling(kept, handle):
        await asyncio.wait_for(begun.wait(), 20)
    assert tries == 1


async def test_readiness_turns_red_while_work_waits_and_nothing_moves(kept: Kept) -> None:
    stuck = asyncio.Event()

    async def handle(event: Event) -> None:
        if event.subject == "stuck":
            await stuck.wait()

    settings = kept.settings.model_copy(update={"stall_seconds": 1.0})
    consumer = Consumer(kept.group, kept.topics, {Told.TYPE: handle}, settings, "one", WATCHFUL)
    tasks = [asyncio.create_task(consumer.run()), asyncio.create_task(consumer.watch())]
    try:
        await send(kept, told("stuck"))
        await eventually(lambda: red(consumer), 20, "it is red")
        stuck.set()
        await eventually(lambda: green(consumer), 20, "it is green again")
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_readiness_turns_red_when_our_client_hangs_and_others_reach_the_broker(kept: Kept) -> None:
    """As one whose search for the brokers has died: it waits for them for ever, and how far it is can't be seen."""
    handled = asyncio.Event()

    async def handle(_event: Event) -> None:
        handled.set()

    settings = kept.settings.model_copy(update={"stall_seconds": 1.0, "call_timeout_seconds": 0.5})
    consumer = Consumer(kept.group, kept.topics, {Told.TYPE: handle}, settings, "one", WATCHFUL)
    tasks = [asyncio.create_task(consumer.run()), asyncio.create_task(consumer.watch())]
    try:
        await eventually(lambda: green(consumer), 20, "it is green")
        await send(kept, told("a"))
        await asyncio.wait_for(handled.wait(), 20)
        lose_the_brokers(kept.group)
        await eventually(lambda: red(consumer), 20, "it is red")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def lag_of(consumer: Consumer) -> float:
    """The sum of the last lags measured."""
    samples = (sample for metric in consumer_lag.collect() for sample in metric.samples)
    return sum(sample.value for sample in samples if sample.labels["group"] == consumer.group)


def lose_the_brokers(group: str) -> None:
    """Ends the search for the brokers of a member's client, as an error inside of aiokafka would."""
    [client] = [
        each._client for each in gc.get_objects() if type(each) is AIOKafkaConsumer and each._group_id == group
    ]  # fmt: skip
    client._sync_task.cancel()
    client.force_metadata_update()


async def red(consumer: Consumer) -> bool:
    try:
        await consumer.standstill.check()
    except RuntimeError as error:
        return "stalled" in str(error)
    return False


async def green(consumer: Consumer) -> bool:
    return not await red(consumer)


@pytest.fixture
def command(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[str]]:
    """`python -m kit.kafka.dead_letters`, as an operator calls it."""
    monkeypatch.setenv("KAFKA__SERVERS", kept.settings.servers)
    monkeypatch.setenv("COLUMNS", "300")

    async def run(*arguments: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, dead_letters.app, arguments)
        assert result.exit_code == 0, result.output
        return result.output

    return run


async def test_letters_are_listed_shown_replayed_to_their_group_alone_and_dropped(
    kept: Kept, command: Callable[..., Awaitable[str]], stack: RunningStack
) -> None:
    repaired, seen, seen_by_others = False, [], []

    async def handle(event: Event) -> None:
        if event.subject.startswith("bad") and not repaired:
            raise Reject("not yet")
        seen.append(event.subject)

    async def other(event: Event) -> None:
        seen_by_others.append(event.subject)

    await send(kept, told("good"), told("bad-1"), told("bad-2"), told("bad-3"))
    async with (
        own_projection(stack, kept.topics, Told.TYPE) as neighbour,
        handling(neighbour, other),
        handling(kept, handle),
    ):
        await eventually(lambda: three(kept), 20, "three are buried")
        await until(lambda: len(seen_by_others) == 4, "the other group has handled them")
        listed = await command("list", kept.group)
        first, second, third = (f"{kept.topics[0]}/0/{offset}" for offset in (1, 2, 3))
        assert first in listed
        assert "Reject: not yet" in listed
        assert '"ce_subject": "bad-1"' in await command("show", kept.group, first)
        repaired = True
        assert "replayed 1" in await command("replay", kept.group, first)
        await until(lambda: seen == ["good", "bad-1"], "the letter is handled")
        assert "dropped 1" in await command("drop", kept.group, second)
        assert set(await dead_letters.dead_letters(kept.settings, kept.group)) == {third}
        assert "replayed 1" in await command("replay", kept.group, "all")
        await until(lambda: seen == ["good", "bad-1", "bad-3"], "the last one is handled")
    assert await letters(kept) == []
    assert len(seen_by_others) == 4


async def three(kept: Kept) -> bool:
    return len(await letters(kept)) == 3


async def test_an_unknown_letter_is_named_in_the_complaint(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA__SERVERS", kept.settings.servers)
    for arguments in (["show", kept.group, "no/0/1"], ["drop", kept.group, "no/0/1"]):
        result = await asyncio.to_thread(CliRunner().invoke, dead_letters.app, arguments)
        assert result.exit_code != 0
        assert "no such letter" in result.output


async def test_a_record_without_a_value_is_buried_and_replayed_as_it_was(kept: Kept) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kept.settings.servers)
    await producer.start()
    await producer.send_and_wait(kept.topics[0], None, key=b"gone", headers=told("gone").headers, partition=0)
    await producer.stop()

    async def handle(_event: Event) -> None: ...

    async with handling(kept, handle):
        await eventually(lambda: letters(kept), 20, "it is buried")
        assert await dead_letters.replay(kept.settings, kept.group, ["all"])
        again = await eventually(lambda: letters(kept), 20, "it is buried again")
    assert again[0]["dead_topic"] == f"{kept.group}.replay".encode()
    assert again[0]["dead_cause"] == b"Reject: an event without data"


async def test_transaction_markers_are_no_work_that_waits(stack: RunningStack, things: Things) -> None:
    """Each transaction ends with a marker, which nobody is ever given."""
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
            await asyncio.sleep(1.5)
            assert await green(consumer)
            assert lag_of(consumer) == 0
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
