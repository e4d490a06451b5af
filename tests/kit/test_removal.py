"""Removal of documents: tombstones, also after a lost position; purge; erasure of a person."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import cast

import pytest
import pytest_asyncio

from kit.core.clock import ManualClock
from kit.core.errors import Unavailable
from kit.core.events import REMOVED, Event, decode
from kit.files import blobs
from kit.files.blobs import Bucket
from kit.kafka import Record
from kit.mongo import Collection, Fields, Index
from kit.mongo.removal import TOMBSTONES, Purge, Removal, RetentionRule, retention_rules
from kit.privacy.erasure import Erasure, ErasurePolicy
from kit.privacy.personal_data import PersonalData
from kit.settings import RetentionSettings
from tests.kit.test_publisher import store_position
from tests.support.names import own_id, own_name
from tests.support.processes import free_port
from tests.support.stack import RunningStack
from tests.support.things import Thing, Things, running
from tests.support.topics import own_topics
from tests.support.waiting import eventually

TOLD = ("things",)


def removal_of(things: Things) -> Removal:
    return Removal(things.database, ManualClock(), TOLD)


async def remove(things: Things, thing: Thing) -> None:
    removal = removal_of(things)
    for document in await removal.find("things", {"_id": thing.id}):
        await removal.remove("things", document)


async def tombstones(things: Things, count: int) -> list[Record]:
    async def found() -> list[Record]:
        await things.subscriber.read()
        found = things.subscriber.tombstones
        return found if len(found) >= count else []

    return await eventually(found, 20, f"{count} tombstones")


async def test_removing_a_document_publishes_a_tombstone(things: Things) -> None:
    (thing,) = await things.write(1)
    async with running(things.publisher):
        await things.seen(1)
        thing = await things.rewrite(thing, "second")
        await remove(things, thing)
        (record,) = await tombstones(things, 1)
        event = decode(record.headers, record.value)
    assert (event.type, event.subject, event.version, event.data) == (REMOVED, thing.id, 3, b"")
    assert event.practitioner_id == thing.practitioner_id
    assert record.partition == things.subscriber.records[0].partition
    assert record.offset > things.subscriber.records[-1].offset
    assert await things.collection.get(thing.id) is None


async def test_a_tombstone_is_published_again_when_the_position_was_lost(things: Things) -> None:
    gone, stays = await things.write(2)
    async with running(things.publisher):
        await things.seen(2)
    await remove(things, gone)
    await store_position(things, 2, "lost")
    async with running(things.publisher):
        (record,) = await tombstones(things, 1)
    assert record.key.decode() == gone.id
    assert [version for identity, version in await things.seen(3) if identity == stays.id] == [1, 1]


async def test_a_removal_interrupted_by_a_crash_is_repeated(things: Things) -> None:
    (thing,) = await things.write(1)
    removal = removal_of(things)
    (document,) = await removal.find("things", {"_id": thing.id})
    await removal.remove("things", document)
    await things.database["things"].insert_one(document)  # as if it had crashed before the document was deleted
    await remove(things, thing)
    (stone,) = [each async for each in things.database[TOMBSTONES].find({})]
    assert (stone["_id"], await things.collection.get(thing.id)) == (thing.id, None)


async def test_only_documents_past_their_retention_time_are_purged(things: Things) -> None:
    old, young = await things.write(2)
    clock = ManualClock()
    await things.database["things"].update_one({"_id": old.id}, {"$set": {"state": "deleted"}})
    await things.database["things"].update_one({"_id": young.id}, {"$set": {"state": "active"}})
    purge = Purge(
        Removal(things.database, clock, TOLD), [RetentionRule("things", "deleted", timedelta(days=30))], clock
    )
    await purge.purge()
    assert await things.database["things"].count_documents({}) == 2
    clock.advance(timedelta(days=31))
    await purge.purge()
    assert [each["_id"] async for each in things.database["things"].find({})] == [young.id]


async def test_deleted_documents_are_purged_after_three_years_or_the_time_of_their_kind(things: Things) -> None:
    plain, credit, kept = await things.write(3)
    for thing, kind in ((plain, "degree"), (credit, "credit"), (kept, "title")):
        await things.database["things"].update_one({"_id": thing.id}, {"$set": {"state": "deleted", "kind": kind}})
    clock, settings = ManualClock(), RetentionSettings(by_kind={"credit": 1825, "title": None})
    purge = Purge(Removal(things.database, clock, TOLD), retention_rules(settings, "things", "deleted"), clock)
    for days, left in ((1094, [plain, credit, kept]), (2, [credit, kept]), (800, [kept])):
        clock.advance(timedelta(days=days))
        await purge.purge()
        found = {each["_id"] async for each in things.database["things"].find({})}
        assert found == {thing.id for thing in left}, f"after {days} days more"


@pytest_asyncio.fixture
async def group(stack: RunningStack) -> AsyncIterator[str]:
    name = own_name("group")
    async with own_topics(stack.kafka, **{f"{name}.dead": 1}):
        yield name


@pytest_asyncio.fixture
async def bucket(stack: RunningStack) -> AsyncIterator[Bucket]:
    async with blobs.connect(stack.blobs("attachments")) as opened:
        yield opened


def folder(document: Fields) -> list[str]:
    return [f"scans/{document['_id']}/"]


def erasure_of(things: Things, group: str, clock: ManualClock, bucket: Bucket) -> Erasure:
    holdings = [PersonalData("things", files=folder)]
    return Erasure(
        things.database, holdings, removal_of(things), [group], things.settings, clock, bucket, confirmed=nobody
    )  # fmt: skip


async def nobody(_: str) -> bool:
    """Contains no person: no event is skipped here."""
    return False


async def test_an_erasure_removes_the_files_and_later_events_restore_nothing(
    things: Things, group: str, bucket: Bucket
) -> None:
    (mine,), (other,) = await things.write(1, "zhang"), await things.write(1, "li")
    for thing in (mine, other):
        await bucket.put(f"scans/{thing.id}/original", b"a scan", "image/jpeg")
    clock, seen = ManualClock(), list[str]()

    async def keep(event: Event) -> None:
        seen.append(event.practitioner_id)

    erasure = erasure_of(things, group, clock, bucket)
    await erasure.prepare()
    handler = erasure.unless_erased(keep)
    await erasure.erase("zhang")
    assert [each["_id"] async for each in things.database["things"].find({})] == [other.id]
    assert (await bucket.keys(f"scans/{mine.id}"), await bucket.keys(f"scans/{other.id}")) == (
        [], [f"scans/{other.id}/original"],
    )  # fmt: skip
    for person in ("zhang", "li"):
        await handler(Event("told", "1", "/things", own_id(), person, 1, b"{}"))
    assert seen == ["li"]
    await bucket.delete(f"scans/{other.id}/original")


async def test_an_erasure_resumes_after_s3_was_unavailable(
    stack: RunningStack, things: Things, group: str, bucket: Bucket
) -> None:
    (mine,) = await things.write(1, "zhang")
    await bucket.put(f"scans/{mine.id}/original", b"a scan", "image/jpeg")
    clock, nobody_listens = ManualClock(), f"http://127.0.0.1:{free_port()}"
    async with blobs.connect(stack.blobs("attachments").model_copy(update={"endpoint": nobody_listens})) as unavailable:
        with pytest.raises(Unavailable):
            await erasure_of(things, group, clock, unavailable).erase("zhang")
    assert await things.collection.get(mine.id), "the document still names its files"
    await erasure_of(things, group, clock, bucket).erase("zhang")
    assert (await things.collection.get(mine.id), await bucket.keys(f"scans/{mine.id}")) == (None, [])


async def test_the_second_pass_of_an_erasure_finds_what_was_written_meanwhile(
    things: Things, group: str, bucket: Bucket
) -> None:
    clock = ManualClock()
    erasure = erasure_of(things, group, clock, bucket)
    await things.write(1, "zhang")
    await erasure.erase("zhang")
    await things.write(1, "zhang")  # a request with a token of some minutes ago
    await erasure.repeat_due()
    assert await things.database["things"].count_documents({}) == 1, "not due yet"
    for after in ErasurePolicy().again:
        clock.advance(after)
        await erasure.repeat_due()
    assert await things.database["things"].count_documents({}) == 0
    stones = [each async for each in things.database[TOMBSTONES].find({})]
    assert sorted(cast(int, each["version"]) for each in stones) == [4, 5], "published again at each pass"
    clock.advance(timedelta(days=30))
    await erasure.repeat_due()
    stones = [each async for each in things.database[TOMBSTONES].find({})]
    assert sorted(cast(int, each["version"]) for each in stones) == [4, 5], "and then never more"


async def test_the_retention_time_can_be_changed_when_the_index_exists(things: Things) -> None:
    for seconds in (0, 3_600):
        index = Index([("created_at", 1)], expireAfterSeconds=seconds)
        await Collection(things.database, "things", Thing, [index]).prepare()
    [found] = [each async for each in things.database["things"].list_indexes() if each["name"] == "created_at_1"]
    assert found["expireAfterSeconds"] == 3_600
