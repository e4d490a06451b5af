"""Reading from changing positions, as catching up person by person does, on a real broker."""

import asyncio
import gc
from itertools import product

import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.consumer.fetcher import PartitionRecords

from kit.kafka import Reader, read_all
from kit.kafka.connections import options
from kit.settings import KafkaSettings
from tests.support.names import own_name
from tests.support.stack import RunningStack
from tests.support.topics import own_topics

PLACES = range(0, 100, 5)


async def test_records_fetched_at_one_position_are_discarded_when_another_is_read(stack: RunningStack) -> None:
    topic = own_name("places")
    async with own_topics(stack.kafka, **{topic: 2}):
        await filled(stack.kafka, topic, PLACES.stop)
        reader = Reader(stack.kafka_settings(), topic)
        await reader.start()
        gc.collect()
        gc.disable()  # as rarely as in a service
        try:
            for partition, place in product((0, 1), PLACES):
                await reads(reader, partition, place)
                await reads(reader, 1 - partition, place)
            kept = [each for each in gc.get_objects() if type(each) is PartitionRecords and each._tp.topic == topic]
        finally:
            gc.enable()
            await reader.close()
    assert len(kept) <= 2, f"of {4 * len(PLACES)} places"


def test_closing_does_not_wait_for_the_brokers_farewell(stack: RunningStack) -> None:
    """With uvloop, like every process: it waited 30 s whenever the broker was just sending something."""

    async def ten_times() -> None:
        async with asyncio.timeout(20):
            for _ in range(10):
                await read_all(stack.kafka_settings(), ["records.changes"], lambda record: None)

    uvloop.run(ten_times())


async def reads(reader: Reader, partition: int, place: int) -> None:
    (record,) = (await reader.read({partition: place}, 5_000, 1)).records
    assert (record.partition, record.offset) == (partition, place)


async def filled(kafka: KafkaSettings, topic: str, count: int) -> None:
    producer = AIOKafkaProducer(**options(kafka))
    await producer.start()
    for number in range(count):
        for partition in (0, 1):
            await producer.send(topic, f"{number}".encode(), partition=partition)
    await producer.stop()
