"""The audit trail: gapless and once for each event, however many write; every way to tamper with it is found."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from contracts.audit import HEAD_TYPE
from deploy.local.secrets import signing_key
from kit import mongo
from kit.core.clock import ManualClock
from kit.core.errors import Reject
from kit.mongo import Database
from kit.security.statements import StatementReader, StatementSigner
from services.identity.audit.domain import Action, chained, exported, hash_of
from services.identity.audit.heads import HeadKeeper
from services.identity.audit.service import AuditTrail
from services.identity.audit.store import AUDIT_HEADS, AUDIT_TRAIL, TrailStore
from services.identity.audit.verification import WrongTrail, read_heads, verify
from services.identity.settings import AuditSettings
from tests.support.names import own_id, own_name, seeded
from tests.support.stack import RunningStack

KEYS = [signing_key()]
HOUR = timedelta(hours=1)


def action(number: int) -> Action:
    return Action(
        f"/identity {own_id()}:{number}", "certificate", "rebound", f"staff:{own_id()}", own_id(), own_id(),
        "2026-11-29T08:00:00.000Z", {"state": "active"},
    )  # fmt: skip


@dataclass
class Trail:
    """A trail in a database of its own, its keeper, and the heads as they were exported."""

    database: Database
    store: TrailStore
    clock: ManualClock
    keeper: HeadKeeper
    reader: StatementReader
    published: list[str]

    async def append(self, count: int) -> None:
        trail = AuditTrail(self.store, self.clock)
        await asyncio.gather(*(trail.append(action(number)) for number in range(count)))

    async def sign(self) -> None:
        """An hour later: a head is signed, and exported."""
        self.clock.advance(HOUR)
        await self.keeper.sign_due()
        self.published = [head.statement for head in await self.store.all_heads()]

    async def verified(self) -> str:
        heads = read_heads(self.reader, self.published)
        return await verify(self.store, self.reader, heads, self.clock.now(), 2 * HOUR)


@pytest_asyncio.fixture
async def trail(stack: RunningStack) -> AsyncIterator[Trail]:
    name = own_name("trail")
    async with mongo.connect(stack.mongo, name) as database:
        store, clock = TrailStore(database), ManualClock()
        await store.prepare()
        signer = StatementSigner(KEYS, HEAD_TYPE)
        reader = StatementReader(signer.public_keys(), HEAD_TYPE)
        settings = AuditSettings(keys=KEYS, head_entries=1_000, verify_heads=2)
        yield Trail(database, store, clock, HeadKeeper(store, settings, clock), reader, [])
        await database.client.drop_database(name)


@pytest_asyncio.fixture
async def signed(trail: Trail) -> Trail:
    """Three heads: over 10, 20 and 30 entries; four more follow the last head."""
    for _ in range(3):
        await trail.append(10)
        await trail.sign()
    await trail.append(4)
    return trail


async def entries_of(trail: Trail) -> list[dict[str, Any]]:
    return [entry async for batch in trail.store.everything() for entry in batch]


async def test_several_writers_append_each_event_once_and_without_a_gap(trail: Trail) -> None:
    """As after a rebalance, when two workers have the same events; a worker also repeats what it was not told of."""
    choice, actions = seeded(), [action(number) for number in range(600)]
    writers = [AuditTrail(trail.store, trail.clock) for _ in range(3)]

    async def write(writer: AuditTrail) -> None:
        for _ in range(30):
            await asyncio.gather(*(writer.append(each) for each in choice.sample(actions, 32)))
            await asyncio.sleep(choice.random() / 1000)

    await asyncio.gather(*map(write, writers))
    await asyncio.gather(*(AuditTrail(trail.store, trail.clock).append(each) for each in actions))
    entries = await entries_of(trail)
    assert [entry["_id"] for entry in entries] == list(range(1, 601))
    assert {entry["event"] for entry in entries} == {each.event for each in actions}
    await trail.sign()
    assert "verified 600 entries" in await trail.verified()


async def test_a_restored_trail_has_no_indexes_until_the_first_entry_is_appended(trail: Trail) -> None:
    """After a restore all events of the topics arrive again, before a readiness check was asked."""
    actions = [action(number) for number in range(20)]
    await asyncio.gather(*map(AuditTrail(trail.store, trail.clock).append, actions))
    await trail.database[AUDIT_TRAIL].drop_indexes()
    restored = AuditTrail(TrailStore(trail.database), trail.clock)
    await asyncio.gather(*map(restored.append, [*actions, action(21)]))
    assert [entry["_id"] for entry in await entries_of(trail)] == list(range(1, 22))


async def test_a_trail_that_nobody_touched_is_verified(signed: Trail) -> None:
    assert await signed.verified() == "verified 34 entries and 3 heads; 4 entries follow the last head"


Tampering = Callable[[Trail], Awaitable[object]]


async def _remove(trail: Trail, *numbers: int) -> None:
    await trail.database[AUDIT_TRAIL].delete_many({"_id": {"$in": list(numbers)}})


async def _set(trail: Trail, number: int, **fields: object) -> None:
    await trail.database[AUDIT_TRAIL].update_one({"_id": number}, {"$set": fields})


async def _rehash(trail: Trail, number: int, **fields: object) -> None:
    """Change an entry, and its hash with it."""
    entry = await trail.database[AUDIT_TRAIL].find_one({"_id": number})
    assert entry
    changed = {**entry, **fields}
    await trail.database[AUDIT_TRAIL].replace_one({"_id": number}, {**changed, "hash": hash_of(changed)})


async def _rewrite_from(trail: Trail, number: int) -> None:
    """Change an entry, and the hashes of all that follow."""
    entries = await entries_of(trail)
    before, following = entries[number - 2], entries[number - 1 :]
    actions = [_action_of(entry) for entry in following]
    actions[0] = replace(actions[0], by=f"staff:{own_id()}")
    for entry in chained(actions, before, trail.clock.now()):
        await trail.database[AUDIT_TRAIL].replace_one({"_id": entry["_id"]}, entry)


def _action_of(entry: dict[str, Any]) -> Action:
    return Action(**{name: entry[name] for name in Action.__dataclass_fields__})


async def _swap(trail: Trail, one: int, other: int, *, whole: bool) -> None:
    """Exchange the contents of two entries, with their hashes or without."""
    collection = trail.database[AUDIT_TRAIL]
    first, second = await collection.find_one({"_id": one}), await collection.find_one({"_id": other})
    assert first
    assert second
    kept = ("_id",) if whole else ("_id", "previous", "hash")
    await collection.delete_many({"_id": {"$in": [one, other]}})  # `event` is unique
    for into, contents in ((first, second), (second, first)):
        await collection.insert_one({**contents, **{name: into[name] for name in kept}})


async def _insert(trail: Trail, number: object) -> None:
    """Insert an entry between two others, or beside the numbers, with a valid hash of its own."""
    entry = await trail.database[AUDIT_TRAIL].find_one({"_id": 5})
    assert entry
    forged = {**entry, "_id": number, "event": own_id(), "previous": entry["hash"]}
    await trail.database[AUDIT_TRAIL].insert_one({**forged, "hash": hash_of(forged)})


async def _renumber(trail: Trail) -> None:
    """Insert an entry as number 5, and move all others one further, with hashes that fit."""
    entries = await entries_of(trail)
    actions = [_action_of(entry) for entry in entries]
    actions.insert(4, action(0))
    await trail.database[AUDIT_TRAIL].delete_many({})
    await trail.database[AUDIT_TRAIL].insert_many([dict(each) for each in chained(actions, None, trail.clock.now())])


async def _forge_head(trail: Trail, key: dict[str, Any]) -> None:
    """Rewrite the trail, and sign it anew."""
    await _rewrite_from(trail, 25)
    last = await trail.database[AUDIT_TRAIL].find_one({"_id": 30})
    head = await trail.store.last_head()
    assert last
    assert head
    stated = trail.reader.read(head.statement) | {"hash": last["hash"]}
    statement = StatementSigner([key], HEAD_TYPE).sign(stated)
    changed = {"statement": statement, "hash": last["hash"]}
    await trail.database[AUDIT_HEADS].update_one({"_id": head.id}, {"$set": changed})


async def _remove_head(trail: Trail, number: int) -> None:
    await trail.database[AUDIT_HEADS].delete_one({"number": number})


TAMPERED: dict[str, tuple[Tampering, str]] = {
    "removed in the middle": (lambda trail: _remove(trail, 17), "entry 17 is missing: the next one is 18"),
    "removed at the beginning": (lambda trail: _remove(trail, 1, 2), "entry 1 is missing: the next one is 3"),
    "removed at the end": (
        lambda trail: _remove(trail, *range(29, 35)), "entry 29 is missing: head 3 covers 30 entries, the trail has 28",
    ),
    "all removed": (lambda trail: _remove(trail, *range(1, 35)), "entry 1 is missing: head 1 covers 10 entries"),
    "changed": (lambda trail: _set(trail, 17, by="staff:another"), "entry 17 was changed"),
    "a detail changed": (lambda trail: _set(trail, 17, details={"state": "revoked"}), "entry 17 was changed"),
    "a field added": (lambda trail: _set(trail, 17, note="x"), "entry 17 was changed"),
    "a field of another type": (lambda trail: _set(trail, 17, at=trail.clock.now()), "entry 17 was changed"),
    "changed with its hash": (
        lambda trail: _rehash(trail, 17, by="staff:another"), "entry 18 does not follow the entry before it",
    ),
    "changed with all hashes after it": (
        lambda trail: _rewrite_from(trail, 17), "entry 20 is not the one that head 2 signed",
    ),
    "reordered": (lambda trail: _swap(trail, 17, 19, whole=False), "entry 17 was changed"),
    "reordered with hashes": (lambda trail: _swap(trail, 17, 19, whole=True), "entry 17 was changed"),
    "inserted between two": (lambda trail: _insert(trail, 17.5), "entry 17.5 was inserted"),
    "inserted before the first": (lambda trail: _insert(trail, 0), "entry 0 was inserted"),
    "inserted beside the numbers": (lambda trail: _insert(trail, "17"), "entry '17' was inserted"),
    "inserted and all renumbered": (_renumber, "entry 10 is not the one that head 1 signed"),
    "a head forged with another key": (lambda trail: _forge_head(trail, signing_key()), "head 3 in the list is forged"),
    "a head forged with the stolen key": (
        lambda trail: _forge_head(trail, KEYS[0]), "head 3 in the database is not the exported one",
    ),
    "a head removed": (lambda trail: _remove_head(trail, 2), "head 2 is missing"),
    "the last head removed": (lambda trail: _remove_head(trail, 3), "head 3 is missing in the database"),
}  # fmt: skip


@pytest.mark.parametrize("way", TAMPERED)
async def test_tampering_as_an_admin_of_the_database_is_found(signed: Trail, way: str) -> None:
    tamper, expected = TAMPERED[way]
    await tamper(signed)
    with pytest.raises(WrongTrail) as found:
        await signed.verified()
    assert str(found.value).startswith(expected)


async def test_an_entry_changed_at_random_is_found(signed: Trail) -> None:
    choice = seeded()
    entry = choice.choice(await entries_of(signed))
    field = choice.choice([name for name in entry if name not in ("_id", "event", "details")])
    await _set(signed, entry["_id"], **{field: entry[field][:-1] + random.choice("xyz")})
    with pytest.raises(WrongTrail, match=f"entry {entry['_id']} "):
        await signed.verified()


async def test_heads_missing_or_forged_in_the_export_are_found(signed: Trail) -> None:
    heads = list(signed.published)
    signed.published = [heads[0], heads[2]]
    with pytest.raises(WrongTrail, match="head 2 is missing"):
        await signed.verified()
    forged = StatementSigner([signing_key()], HEAD_TYPE).sign(signed.reader.read(heads[1]))
    signed.published = [heads[0], forged, heads[2]]
    with pytest.raises(WrongTrail, match="head 2 in the list is forged"):
        await signed.verified()
    twice = StatementSigner(KEYS, HEAD_TYPE).sign(signed.reader.read(heads[1]) | {"sequence": 19})
    signed.published = [*heads, twice]
    with pytest.raises(WrongTrail, match="head 2 was signed twice"):
        await signed.verified()
    signed.published = heads[:2]
    signed.clock.advance(HOUR)
    with pytest.raises(WrongTrail, match="head 3 is missing in the export"):
        await signed.verified()


async def test_a_trail_without_a_head_for_two_hours_is_wrong(signed: Trail) -> None:
    signed.clock.advance(2 * HOUR)
    assert await signed.verified()
    signed.clock.advance(timedelta(seconds=1))
    with pytest.raises(WrongTrail, match="head 4 is missing: the last one was signed at"):
        await signed.verified()


async def test_a_head_is_signed_each_hour_and_after_many_entries_by_one_of_several_workers(trail: Trail) -> None:
    await asyncio.gather(*(trail.keeper.sign_due() for _ in range(5)))
    await trail.keeper.sign_due()
    assert [head.sequence for head in await trail.store.all_heads()] == [0]
    await trail.append(999)
    await trail.keeper.sign_due()
    assert len(await trail.store.all_heads()) == 1
    await trail.append(1)
    await asyncio.gather(*(trail.keeper.sign_due() for _ in range(5)))
    await trail.sign()
    assert [head.sequence for head in await trail.store.all_heads()] == [0, 1000, 1000]
    assert await trail.verified()


@pytest.mark.parametrize("number", [10, 12])
async def test_a_trail_that_is_wrong_since_the_last_head_is_not_signed(trail: Trail, number: int) -> None:
    await trail.append(10)
    await trail.sign()
    await trail.append(10)
    await _set(trail, number, by="staff:another")
    await trail.sign()
    assert len(await trail.store.all_heads()) == 1


async def test_after_a_restore_a_head_replaces_those_of_entries_that_the_backup_lacked(signed: Trail) -> None:
    """The backup has 15 entries and one head; the topic has three heads, which a restore stores again."""
    await _remove(signed, *range(16, 35))
    await signed.append(20)
    with pytest.raises(WrongTrail, match="entry 20 is not the one that head 2 signed"):
        await signed.verified()
    await signed.sign()
    assert len(await signed.store.all_heads()) == 3
    head = await signed.keeper.replace_heads()
    assert head
    assert (head.number, head.sequence) == (4, 35)
    assert await signed.keeper.replace_heads() is None
    await signed.append(5)
    await signed.sign()
    summary = await signed.verified()
    assert summary.startswith("verified 40 entries and 5 heads; 0 entries follow the last head\nnote: heads 2 to 3")


async def test_the_export_has_the_entries_of_a_time_and_their_hashes(trail: Trail) -> None:
    for _ in range(3):
        await trail.append(5)
        trail.clock.advance(HOUR)
    end = trail.clock.now().isoformat()[:23] + "Z"
    begin = (trail.clock.now() - 2 * HOUR).isoformat()[:23] + "Z"
    found = [entry async for batch in trail.store.between(begin, end) for entry in batch]
    assert [entry["_id"] for entry in found] == list(range(6, 16))
    assert exported(found[0]).keys() == {"sequence", *found[0].keys()} - {"_id"}
    assert not [entry async for batch in trail.store.between(end, "9999") for entry in batch]


def test_the_hash_is_that_of_the_canonical_json() -> None:
    """Computed by hand, as docs/security/audit.md describes it."""
    details = {"b": "二", "a": '"'}
    one = Action("/records a:1", "record", "changed", "client:c", "p", "d", "2026-11-29T08:00:00.000Z", details)
    entry = chained([one], None, ManualClock().now())[0]

    moment = entry["recorded_at"]
    text = (
        '{"action":"changed","at":"2026-11-29T08:00:00.000Z","by":"client:c","details":{"a":"\\"","b":"二"},'
        f'"document":"d","event":"/records a:1","kind":"record","person":"p","previous":"{"0" * 64}",'
        f'"recorded_at":"{moment}","sequence":1}}'
    )
    assert entry["hash"] == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "details", [{f"name_{number}": "" for number in range(21)}, {"a": "x" * 1_001}, {"$set": ""}, {"a\0": ""}]
)
def test_an_action_that_is_no_action_of_ours_is_refused(details: dict[str, str]) -> None:
    with pytest.raises(Reject):
        replace(action(1), details=details).checked()
