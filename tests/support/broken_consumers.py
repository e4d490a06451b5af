"""Broken consumers: each one loses or overwrites what it has consumed, which the checker must notice."""

from kit import kafka
from kit.kafka import Partition, Record
from kit.messaging.consumer import Consumer
from kit.mongo import Fields, Projection
from kit.settings import KafkaSettings


class CommitsFirst(Consumer):
    """Commits a batch before it is handled, as Kafka's automatic commit may."""

    async def _handle_batch(self, partition: Partition, records: list[Record]) -> None:
        self._done[partition] = records[-1].offset + 1
        await self._commit()
        await super()._handle_batch(partition, records)


class FromLatest(kafka.Consumer):
    """A member of a group that begins with the newest event where the group has committed nothing."""

    def __init__(self, settings: KafkaSettings, group: str, instance: str, *, empty: bool = False) -> None:
        super().__init__(settings, group, instance, empty=empty)
        self._consumer._auto_offset_reset = "latest"


class Unguarded(Projection):
    """Stores every event that comes, whatever version is stored already."""

    async def put(self, document_id: str, version: int, fields: Fields) -> None:
        stored = {"_id": document_id, "version": version, **fields}
        await self._collection.replace_one({"_id": document_id}, stored, upsert=True)
