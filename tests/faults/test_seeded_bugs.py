"""Twelve seeded bugs (T30): the checks find each of them, by the invariant that it violates.

| bug | found by | where |
|---|---|---|
| the position is stored before the events are acknowledged | I2 | here: a publisher |
| the current document instead of the changed version (`updateLookup`) | I2, with I7 | here: a publisher |
| no fencing of the leader before | I7 | here: a second leader; in the cluster: the leader cut off |
| a document changes its person; its key | I3; I5 | here: a publisher |
| a tombstone is lost | I5 | here: a publisher |
| no version guard in a consumer | I4 | here: a consumer, and a replayed event |
| the offset is committed before the effect | I4 | here: a consumer that is killed |
| a new group begins with the newest event | I4 | here: a consumer |
| a create is retried without its key | I9 | here: the load of the sweep |
| a limit that permits everything without Redis | M | here: an API of identity |
| personal data in an event | P | here: a publisher |
| writes acknowledged by one server (w:1) | I1, L | in the cluster: the primary cut off from the others |

Those of processes: tests/support/broken_process.py.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import pytest
from aiokafka import ConsumerRecord

import kit.kafka
from kit.core.events import Event
from kit.kafka import Producer, TransactionalProducer
from kit.kafka.dead_letters import replay_topic
from kit.messaging.consumer import Consumer
from kit.messaging.publisher import Publisher
from kit.mongo import Projection
from kit.redis import RedisServer
from kit.security.tokens import TokenIssuer
from tests.support import broken_consumers, broken_publishers
from tests.support.broken_clients import Keyless
from tests.support.checker import Evidence, invariants
from tests.support.evidence import versions
from tests.support.people import Person
from tests.support.processes import Processes
from tests.support.projection import Kept, consuming, own_projection
from tests.support.publisher_runs import END, PEOPLE, evidence, prepare, publish, remove, write
from tests.support.scale import scaled
from tests.support.stack import RunningStack
from tests.support.subscriber import version_of
from tests.support.things import TYPE, Things, running
from tests.support.topics import admin
from tests.support.waiting import eventually
from tests.sweep.answers import Answers
from tests.sweep.checks import leaks, messages
from tests.sweep.history import History
from tests.sweep.load import gateway_client, sweep_load
from tests.sweep.logins import LoginAttempt, LoginPages
from tests.sweep.verdict import verdict

pytestmark = pytest.mark.faults
WITHOUT_ALARM: set[str] = set()


async def published_by(things: Things, producer: type[TransactionalProducer]) -> Evidence:
    """Three versions of some things by a publisher with this producer."""
    await prepare(things)
    written = await write(things)
    await publish(things, partial(things.publisher, producer=producer))
    return await evidence(things, written)


@pytest.mark.parametrize(
    ("producer", "found", "with_it"),
    [
        (TransactionalProducer, WITHOUT_ALARM, WITHOUT_ALARM),
        (broken_publishers.PositionFirst, {"I2"}, WITHOUT_ALARM),
        (broken_publishers.ChangesKey, {"I5"}, WITHOUT_ALARM),
        (broken_publishers.MovesPerson, {"I3"}, {"I5"}),  # what was published before the change is kept for ever
    ],
)
async def test_a_broken_producer_is_found(
    things: Things, producer: type[TransactionalProducer], found: set[str], with_it: set[str]
) -> None:
    own = type("Own", (producer,), {})  # its state is of this test
    assert found <= invariants(await published_by(things, own)) <= found | with_it


async def test_looking_up_the_current_document_is_found(things: Things) -> None:
    def publisher() -> Publisher:
        made = things.publisher()
        made._feed = broken_publishers.LooksUp(things.name, things.database, made._collections)
        return made

    await prepare(things)
    written = await write(things)
    await publish(things, publisher)
    assert invariants(await evidence(things, written)) == {"I2", "I7"}


@pytest.mark.parametrize(
    ("producer", "found"), [(TransactionalProducer, WITHOUT_ALARM), (broken_publishers.LosesTombstones, {"I5"})]
)
async def test_a_lost_tombstone_is_found(
    things: Things, producer: type[TransactionalProducer], found: set[str]
) -> None:
    await prepare(things)
    written = await write(things)
    await publish(things, things.publisher)
    await remove(things, written[0])
    await publish(things, partial(things.publisher, producer=producer))
    assert invariants(await evidence(things, written, frozenset({written[0].id}))) == found


@pytest.mark.parametrize(
    ("producer", "found"), [(TransactionalProducer, WITHOUT_ALARM), (broken_publishers.Unfenced, {"I7"})]
)
async def test_a_leader_without_fencing_is_found(
    things: Things, producer: type[TransactionalProducer], found: set[str]
) -> None:
    """A process publishes that wrongly believes it still leads."""
    await prepare(things)
    make: Callable[[], Publisher] = partial(things.publisher, producer=producer)
    former = asyncio.create_task(make()._keep_publishing())
    try:
        async with running(make):
            await asyncio.sleep(3)  # both publish
            written = await write(things)
            await asyncio.sleep(3)
    finally:
        former.cancel()
        with suppress(asyncio.CancelledError, kit.kafka.Fenced):
            await former
    await publish(things, things.publisher)
    assert invariants(await evidence(things, written)) == found


async def test_personal_data_in_an_event_are_found(things: Things) -> None:
    phone = "13912345678"
    await prepare(things)
    (thing,) = await things.write(1, PEOPLE[0])
    await things.rewrite(thing, f"电话 {phone}")
    await publish(things, things.publisher)
    records = await things.subscriber.read()
    (found,) = leaks(records, {phone})
    assert found == next(place(record) for record in records if version_of(record) == (thing.id, 2))
    assert leaks(records, {"13987654321"}) == []


def place(record: ConsumerRecord) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


async def kept_by(things: Things, kept: Kept) -> dict[str, int]:
    """What the consumer has stored, once it has stored the last thing; until then nothing."""
    stored = await versions(kept.database, "kept", [*PEOPLE, END])
    last = await versions(things.database, "things", [END])
    return stored if last.items() & stored.items() else {}


def with_store(run: Evidence, stored: dict[str, int]) -> Evidence:
    """The run, with what the consumer has stored of it."""
    return replace(run, store={identity: stored[identity] for identity in run.source if identity in stored})


async def consumed(things: Things, kept: Kept, run: Evidence) -> Evidence:
    """The run, with what the consumer has stored once it has consumed everything."""
    stored = await eventually(partial(kept_by, things, kept), 40, "the consumer has stored the last thing")
    return with_store(run, stored)


@pytest.mark.parametrize(("kind", "found"), [(Consumer, WITHOUT_ALARM), (broken_consumers.CommitsFirst, {"I4"})])
async def test_a_commit_before_the_effect_is_found(
    stack: RunningStack, things: Things, kind: type[Consumer], found: set[str]
) -> None:
    """The consumer is killed while it handles a batch, and started again."""
    await prepare(things)
    written = await write(things)
    await publish(things, things.publisher)
    async with own_projection(stack, [things.topic], TYPE) as kept:
        killed, member = (
            asyncio.Event(),
            partial(kind, kept.group, [things.topic], settings=kept.settings, instance="one"),
        )

        async def hang(event: Event) -> None:
            killed.set()
            await asyncio.Event().wait()

        async with consuming(kept, member(handlers={TYPE: hang})):
            await asyncio.wait_for(killed.wait(), 30)
        async with consuming(kept, member(handlers={TYPE: kept.keep})):
            await publish(things, things.publisher)
            run = await consumed(things, kept, await evidence(things, written))
    assert invariants(run) == found


@pytest.mark.parametrize(
    ("member", "found"), [(kit.kafka.Consumer, WITHOUT_ALARM), (broken_consumers.FromLatest, {"I4"})]
)
async def test_a_group_that_begins_with_the_newest_event_is_found(
    stack: RunningStack,
    things: Things,
    monkeypatch: pytest.MonkeyPatch,
    member: type[kit.kafka.Consumer],
    found: set[str],
) -> None:
    await prepare(things)
    written = await write(things)
    await publish(things, things.publisher)
    monkeypatch.setattr(kit.kafka, "Consumer", member)
    async with own_projection(stack, [things.topic], TYPE) as kept, consuming(kept):
        run = await evidence(things, written)
        async with running(things.publisher):
            stored = await eventually(partial(kept_after_another, things, kept), 40, "it consumes", pause=0.5)
    assert invariants(with_store(run, stored)) == found


async def kept_after_another(things: Things, kept: Kept) -> dict[str, int]:
    """Another thing is written each time: the group may begin after those before."""
    await things.write(1, END)
    return await kept_by(things, kept)


@pytest.mark.parametrize(("projection", "found"), [(Projection, WITHOUT_ALARM), (broken_consumers.Unguarded, {"I4"})])
async def test_a_consumer_without_a_version_guard_is_found(
    stack: RunningStack, things: Things, projection: type[Projection], found: set[str]
) -> None:
    """An old event is replayed to it, as an operator replays a dead letter."""
    await prepare(things)
    written = await write(things)
    await publish(things, things.publisher)
    run = await evidence(things, written)
    async with own_projection(stack, [things.topic], TYPE) as kept:
        kept.projection = projection(kept.database, "kept")
        async with consuming(kept):
            await consumed(things, kept, run)
            first = next(record for record in things.subscriber.records if version_of(record) == (written[0].id, 1))
            await replay(kept, first)
            await eventually(partial(replayed, kept), 20, "the event is replayed", pause=0.2)
            stored = await kept_by(things, kept)
    assert invariants(with_store(run, stored)) == found


async def replay(kept: Kept, record: ConsumerRecord) -> None:
    producer = Producer(kept.settings)
    await producer.start()
    try:
        await producer.send(replay_topic(kept.group), record.key, record.value, record.headers)
    finally:
        await producer.close()


async def replayed(kept: Kept) -> bool:
    """Whether the group has committed the event of its replay topic."""
    async with admin(kept.settings) as client:
        committed = await client.list_consumer_group_offsets(kept.group)
    return any(partition.topic == replay_topic(kept.group) and at.offset for partition, at in committed.items())


@pytest.mark.parametrize(("person", "found"), [(Person, WITHOUT_ALARM), (Keyless, {"I9"})])
async def test_a_retry_without_its_key_is_found(stack: RunningStack, person: type[Person], found: set[str]) -> None:
    async with sweep_load(stack, rate=10, person=person) as load:
        await asyncio.sleep(scaled(30, 6))
        result = await verdict(load, within=60)
    print(result.text())
    assert {violation.invariant for violation in result.violations} == found


async def test_a_limit_that_permits_everything_without_redis_is_found(
    stack: RunningStack, processes: Processes, issuer: TokenIssuer, tmp_path: Path
) -> None:
    log, inbox = tmp_path / "broken.log", stack.facts["sms_inbox"]
    async with (
        processes.standby("identity-api", "broken", log, bug="fail_open") as broken,
        gateway_client(stack) as gateway,
        stack.http(broken.api) as direct,
        RedisServer(stack.redis, "identity") as redis,
    ):
        right, wrong = (LoginPages(http, Answers(), issuer, redis.cache, inbox) for http in (gateway, direct))
        citizen = await eventually(right.enrol, 30, "a person is enrolled")
        assert citizen
        attempts = [LoginAttempt(pages, citizen, Random(0)) for pages in (right, wrong)]
        challenge = await attempts[0].challenge()
        async with processes.down("redis"):
            for attempt in attempts:
                await attempt.request_too_soon(challenge)
    assert found_of(attempts[0]) == set()
    assert found_of(attempts[1]) == {"M"}


def found_of(attempt: LoginAttempt) -> set[str]:
    return {violation.invariant for violation in messages(History(logins=[attempt.logged()]), {})}
