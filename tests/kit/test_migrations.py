"""Migrations of stored documents: in batches, beside writers and other runners, published only as new versions."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import pytest
import pytest_asyncio

from kit import mongo
from kit.core.clock import SystemClock
from kit.mongo import Collection, Conflict, Database, Fields, backlog, cluster_time
from kit.mongo.migrations import LEASE, STATES, Migration, MigrationPolicy, Migrations, NotMigrated
from tests.support.names import own_id, own_name
from tests.support.stack import RunningStack
from tests.support.things import Thing, Things, running
from tests.support.waiting import eventually

QUICK = MigrationPolicy(batch=7, share=1)
SLOW = MigrationPolicy(batch=7, share=0.05)
SEEN = Migration(1, "seen is stored", "things", {"seen": {"$exists": False}}, lambda found: {**found, "seen": False})


class SeenThing(Thing):
    """A thing, as a process of this release writes it."""

    seen: bool = False


@pytest_asyncio.fixture
async def database(stack: RunningStack) -> AsyncIterator[Database]:
    name = own_name("migrations")
    async with mongo.connect(stack.mongo, name) as opened:
        yield opened
        await opened.client.drop_database(name)


def thing(number: int) -> Thing:
    at = SystemClock().now()
    return Thing.first(at=at, by="test", action="created", id=own_id(), practitioner_id=own_id(), text=str(number))


async def write(database: Database, count: int) -> Sequence[Thing]:
    things = [thing(number) for number in range(count)]
    await Collection(database, "things", Thing).insert_all(things)
    return things


async def stored(database: Database) -> list[dict[str, object]]:
    return await database["things"].find({}, sort=[("_id", 1)]).to_list(None)


async def state_of(database: Database, number: int = 1) -> Fields:
    return await database[STATES].find_one({"_id": number}) or {}


async def test_every_document_is_changed_once_and_keeps_its_version(database: Database) -> None:
    await write(database, 30)
    before = await stored(database)
    await Migrations(database, [SEEN], QUICK).run()
    assert await stored(database) == [{**document, "seen": False} for document in before]
    state = await state_of(database)
    assert (state["checked"], state["changed"]) == (30, 30)
    assert state["finished_at"]


async def test_a_finished_migration_does_nothing_more(database: Database) -> None:
    await write(database, 3)
    await Migrations(database, [SEEN], QUICK).run()
    finished = await state_of(database)
    await write(database, 3)
    await Migrations(database, [SEEN], QUICK).run()
    assert await state_of(database) == finished
    assert await database["things"].count_documents({"seen": False}) == 3


async def test_migrations_run_in_the_order_of_their_numbers(database: Database) -> None:
    await write(database, 10)
    third = Migration(3, "third", "things", {"text": "two"}, lambda found: {**found, "text": "three"})
    second = Migration(2, "second", "things", {"text": {"$ne": "two"}}, lambda found: {**found, "text": "two"})
    await Migrations(database, [third, second], QUICK).run()
    assert {document["text"] for document in await stored(database)} == {"three"}


async def test_a_query_with_a_condition_on_the_id_is_kept(database: Database) -> None:
    middle = sorted(each.id for each in await write(database, 30))[15]
    upper = Migration(
        1, "half", "things", {"_id": {"$gte": middle}, "text": {"$ne": "new"}}, lambda f: {**f, "text": "new"}
    )
    assert [pending.documents for pending in await Migrations(database, [upper], QUICK).pending()] == [15]
    await Migrations(database, [upper], QUICK).run()
    assert {document["_id"] for document in await stored(database) if document["text"] == "new"} == {
        document["_id"] for document in await stored(database) if str(document["_id"]) >= middle
    }


async def test_a_field_can_be_removed_and_only_what_differs_is_written(database: Database) -> None:
    await write(database, 3)
    await database["things"].update_many({}, {"$set": {"unknown": {"b": 1, "a": 2}}})
    without = Migration(
        1, "no text", "things", {"text": {"$exists": True}},
        lambda found: {name: value for name, value in found.items() if name != "text"},
    )  # fmt: skip
    await Migrations(database, [without], QUICK).run()
    for document in await stored(database):
        assert "text" not in document
        assert list(document["unknown"]) == ["b", "a"]  # type: ignore[call-overload]


async def test_the_preview_writes_nothing_and_names_fields_without_values(database: Database) -> None:
    things = await write(database, 30)
    before = await stored(database)
    (pending,) = await Migrations(database, [SEEN], QUICK).pending()
    assert str(pending) == "1 seen is stored: 30 documents of things would change; of the first one: seen"
    assert await stored(database) == before
    assert await database.list_collection_names() == ["things"]
    assert things[0].practitioner_id not in str(pending)


async def test_a_change_that_changes_nothing_ends_the_run(database: Database) -> None:
    await write(database, 3)
    useless = Migration(1, "useless", "things", {"seen": {"$exists": False}}, lambda found: found)
    with pytest.raises(NotMigrated, match=r"migration 1: .* still matches its query"):
        await Migrations(database, [useless], QUICK).run()
    assert "finished_at" not in await state_of(database)


async def test_writers_beside_a_migration_lose_nothing(database: Database) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    things = await write(database, 60)
    collection = Collection(database, "things", SeenThing)
    written = dict.fromkeys([each.id for each in things], 1)

    async def writer() -> None:
        while True:
            current = await collection.get(chosen.choice(things).id)
            assert current
            with suppress(Conflict):
                await collection.replace(current.rewritten(own_id()))
                written[current.id] += 1

    writers = [asyncio.create_task(writer()) for _ in range(8)]
    try:
        await Migrations(database, [SEEN], MigrationPolicy(batch=7, share=0.2)).run()
    finally:
        for task in writers:
            task.cancel()
        await asyncio.wait(writers)
    assert max(written.values()) > 1, "nobody wrote meanwhile"
    for document in await stored(database):
        found = SeenThing.model_validate(document)
        assert "seen" in document
        assert [entry.version for entry in found.history] == list(range(1, found.version + 1))
        assert found.version in (written[found.id], written[found.id] + 1), "the last answer may be missing"


async def test_two_runners_do_the_work_once(database: Database) -> None:
    await write(database, 60)
    await asyncio.gather(*(Migrations(database, [SEEN], SLOW).run() for _ in range(2)))
    state = await state_of(database)
    assert (state["checked"], state["changed"]) == (60, 60)


async def test_a_runner_that_lost_its_lease_does_no_harm(database: Database) -> None:
    await write(database, 60)
    before = await stored(database)
    first = asyncio.create_task(Migrations(database, [SEEN], SLOW).run())
    await eventually(lambda: has_position(database), 10, "the first batch")
    await database[STATES].delete_one({"_id": LEASE})
    await Migrations(database, [SEEN], QUICK).run()
    assert not first.done()
    await first
    assert await stored(database) == [{**document, "seen": False} for document in before]


async def has_position(database: Database) -> bool:
    return "position" in await state_of(database)


async def test_a_runner_continues_where_another_one_was_cancelled(database: Database) -> None:
    await write(database, 60)
    first = asyncio.create_task(Migrations(database, [SEEN], SLOW).run())
    await eventually(lambda: has_position(database), 10, "the first batch")
    first.cancel()
    await asyncio.wait([first])
    begun = await state_of(database)
    assert await database["things"].count_documents({"seen": False}) < 60
    await Migrations(database, [SEEN], QUICK).run()
    state = await state_of(database)
    assert state["checked"] == 60, f"it began again: {begun}"
    assert await database["things"].count_documents({"seen": False}) == 60


async def test_a_change_in_place_is_neither_published_nor_counted_as_backlog(things: Things) -> None:
    written = await things.write(20)
    async with running(things.publisher):
        await things.seen(20)
        await eventually(things.tails, 15, "the snapshot is over")
        since = await cluster_time(things.database)
        await Migrations(things.database, [SEEN], QUICK).run()
        assert (await backlog(things.database, ["things"], since)).events == 0
        await things.rewrite(written[0], "second")
        assert (await backlog(things.database, ["things"], since)).events == 1
        assert (await things.seen(21))[-1] == (written[0].id, 2)
    assert len(things.subscriber.records) == 21


async def test_a_change_that_makes_a_version_is_published(things: Things) -> None:
    written = await things.write(20)

    def upper(found: Fields) -> Fields:
        return Thing.model_validate(found).rewritten("upper").model_dump(by_alias=True)

    shouted = Migration(1, "upper", "things", {"text": {"$ne": "upper"}}, upper)
    async with running(things.publisher):
        await things.seen(20)
        await eventually(things.tails, 15, "the snapshot is over")
        await Migrations(things.database, [shouted], QUICK).run()
        seen = await things.seen(40)
    assert sorted(seen[20:]) == sorted((each.id, 2) for each in written)
