"""A downstream consumer built on the kit, with its own database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer

from kit import mongo
from kit.core.events import Event
from kit.kafka.connections import options
from kit.messaging.consumer import Consumer, ConsumerPolicy, Handler
from kit.mongo import Database, Projection
from kit.settings import KafkaSettings
from tests.support.names import own_name
from tests.support.stack import RunningStack
from tests.support.topics import own_topics


@dataclass
class Kept:
    """The group's name, and its stored versions."""

    group: str
    database: Database
    settings: KafkaSettings
    topics: list[str]
    type: str
    failures: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.projection = Projection(self.database, "kept")

    async def keep(self, event: Event) -> None:
        fields = {"practitioner_id": event.practitioner_id}
        await self.projection.put(event.subject, event.version, fields)

    def consumer(self, handler: Handler | None = None, policy: ConsumerPolicy = ConsumerPolicy()) -> Consumer:
        handlers = {self.type: handler or self.keep}
        return Consumer(self.group, self.topics, handlers, self.settings, "one", policy)

    async def consume(self, consumer: Consumer) -> None:
        """Runs the consumer; restarts it after an error, as the supervisor restarts a process."""
        while True:
            try:
                await consumer.run()
            except Exception as error:
                self.failures.append(error)
            await asyncio.sleep(0.2)
            consumer = self.consumer()


@asynccontextmanager
async def own_projection(
    stack: RunningStack, topics: list[str], event_type: str, *, from_now: bool = False
) -> AsyncIterator[Kept]:
    group = own_name("kept")
    own = {f"{group}.dead": 1, f"{group}.replay": 1}
    async with own_topics(stack.kafka, **own), mongo.connect(stack.mongo, group) as database:
        if from_now:
            await _commit_ends(stack.kafka, group, topics)
        yield Kept(group, database, stack.kafka_settings(), topics, event_type)
        await database.client.drop_database(group)


@asynccontextmanager
async def consuming(kept: Kept, consumer: Consumer | None = None) -> AsyncIterator[None]:
    task = asyncio.create_task(kept.consume(consumer or kept.consumer()))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _commit_ends(kafka: KafkaSettings, group: str, topics: list[str]) -> None:
    consumer = AIOKafkaConsumer(*topics, **options(kafka), group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        await consumer.commit(await consumer.end_offsets(consumer.assignment()))
    finally:
        await consumer.stop()
