"""A minimal sample service: documents `things`, their contract, their publisher."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import ClassVar, Self

from kit import mongo
from kit.core.clock import SystemClock
from kit.core.documents import Document
from kit.core.events import EventData, NewEvent
from kit.kafka import TransactionalProducer
from kit.messaging.publisher import Publisher, PublisherPolicy
from kit.mongo import Collection, Database
from kit.runtime.process import keep_running
from kit.settings import KafkaSettings
from tests.support.names import own_id, own_name
from tests.support.stack import RunningStack
from tests.support.subscriber import Subscriber
from tests.support.topics import group_position, own_topics

TYPE = "things.thing.changed.v1"
PARTITIONS = 3
QUICK = PublisherPolicy(idle_commit_seconds=0.2)
"""Idle, it stores the position after 0.2 s instead of 30."""


class ThingChanged(EventData):
    TYPE: ClassVar[str] = TYPE
    SUBJECT: ClassVar[str] = "thing_id"

    thing_id: str
    text: str


class Thing(Document):
    practitioner_id: str
    text: str

    def rewritten(self, text: str) -> Self:
        return self.next_version({"text": text}, at=SystemClock().now(), by="test", action="changed")


@dataclass(frozen=True)
class Things:
    """The service: its database, its topics, its publisher."""

    name: str
    database: Database
    settings: KafkaSettings
    subscriber: Subscriber

    @property
    def group(self) -> str:
        return f"{self.name}.publisher"

    @property
    def topic(self) -> str:
        return f"{self.name}.changes"

    @property
    def collection(self) -> Collection[Thing]:
        return Collection(self.database, "things", Thing)

    async def write(self, count: int, person: str | None = None) -> list[Thing]:
        """Inserts new things, one after the other."""
        things = [
            Thing.first(
                at=SystemClock().now(), by="test", action="created",
                id=own_id(), practitioner_id=person or own_id(), text=str(number),
            )
            for number in range(count)
        ]  # fmt: skip
        for thing in things:
            await self.collection.insert(thing)
        return things

    async def rewrite(self, thing: Thing, text: str) -> Thing:
        rewritten = thing.rewritten(text)
        await self.collection.replace(rewritten)
        return rewritten

    def publication(self, document: Mapping[str, object]) -> list[NewEvent]:
        """The publication; raises for the text `unpublishable`."""
        contract: type[ThingChanged] = type("Told", (ThingChanged,), {"TOPIC": self.topic})
        if document["text"] == "unpublishable":
            raise ValueError("cannot be published")
        return [contract.of(document, thing_id=document["_id"])]

    def publisher(
        self,
        instance: str = "one",
        settings: KafkaSettings | None = None,
        producer: type[TransactionalProducer] = TransactionalProducer,
    ) -> Publisher:
        publications, own = {"things": self.publication}, settings or self.settings
        return Publisher(self.name, self.database, publications, own, instance, QUICK, producer)

    async def tails(self) -> bool:
        """Whether the publisher's snapshot is over: until then a new document may be published twice."""
        position = await group_position(self.settings, self.group)
        return position is not None and "token" in position.metadata

    async def seen(self, count: int, within: float = 15) -> list[tuple[str, int]]:
        """The records of a subscriber, once there are at least `count`: (id, version)."""
        records = await self.subscriber.until(lambda found: len(found) >= count, within, f"{count} events")
        return [(record.key.decode(), int(dict(record.headers)["ce_sequence"])) for record in records]


@asynccontextmanager
async def own_things(stack: RunningStack) -> AsyncIterator[Things]:
    name = own_name("things")
    settings = stack.kafka_settings(PARTITIONS)
    topics = {f"{name}.changes": PARTITIONS, f"{name}.publisher": 1}
    async with own_topics(stack.kafka, **topics), mongo.connect(stack.mongo, name) as database:
        yield Things(name, database, settings, Subscriber(stack.kafka, f"{name}.changes"))
        await database.client.drop_database(name)


@asynccontextmanager
async def running(make: Callable[[], Publisher]) -> AsyncIterator[asyncio.Task[None]]:
    """Runs a publisher for the length of the block, as a process does."""
    task = asyncio.create_task(keep_running(make().run))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task
