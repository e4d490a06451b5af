"""A run of one publisher of `things`: versions are written while none runs, then it publishes them."""

from collections.abc import Callable
from functools import partial

from kit.core.clock import SystemClock
from kit.messaging.publisher import Publisher
from kit.mongo.removal import Removal
from tests.support.checker import Evidence
from tests.support.evidence import seen_in, versions
from tests.support.subscriber import headers_of, version_of
from tests.support.things import Thing, Things, running
from tests.support.waiting import eventually

PEOPLE = [f"person-{number}" for number in range(3)]
END = "the end"


async def prepare(things: Things) -> None:
    """The snapshot is published, and the position stored: what is written from now on is published once."""
    async with running(things.publisher):
        await eventually(things.tails, 20, "the publisher tails the stream")
    await things.subscriber.skip()


async def write(things: Things) -> list[Thing]:
    """Three versions of five things of each person. Returns the last versions."""
    first = [thing for person in PEOPLE for thing in await things.write(5, person)]
    return [await things.rewrite(await things.rewrite(thing, "second"), "third") for thing in first]


async def publish(things: Things, publisher: Callable[[], Publisher]) -> None:
    """Run the publisher until it has published everything: all things written before, and then one more."""
    before = await _ends(things)
    async with running(publisher):
        await eventually(partial(_ended, things, before), 40, "it is drained", pause=0.3)


async def _ended(things: Things, before: int) -> bool:
    """Another thing is written each time: a broken publisher may lose some."""
    await things.write(1, END)
    return await _ends(things) > before


async def _ends(things: Things) -> int:
    return sum(headers_of(record)["ce_partitionkey"] == END for record in await things.subscriber.read())


async def remove(things: Things, thing: Thing) -> None:
    """Remove a thing permanently, as a purge does."""
    removal = Removal(things.database, SystemClock(), {"things"})
    for document in await removal.find("things", {"_id": thing.id}):
        await removal.remove("things", document)


async def evidence(things: Things, written: list[Thing], removed: frozenset[str] = frozenset()) -> Evidence:
    """What there is of the people's things."""
    source = await versions(things.database, "things", PEOPLE)
    acknowledged = {(thing.id, number) for thing in written for number in (1, 2, 3)}
    topic = seen_in(await things.subscriber.read(), PEOPLE)
    tombstones = frozenset(version_of(record)[0] for record in things.subscriber.tombstones)
    return Evidence(acknowledged, set(), source, topic, removed=removed, tombstones=tombstones)
