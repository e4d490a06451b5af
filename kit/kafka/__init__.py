"""Kafka: the only importer of aiokafka. Only what the publisher, the consumers and the tools need."""

from aiokafka import ConsumerRecord as Record
from aiokafka import TopicPartition as Partition
from aiokafka.errors import KafkaError

from kit.kafka.admin import Admin, GroupInUse, admin, move_group, ping
from kit.kafka.connections import Fenced, OffsetGone
from kit.kafka.consumer import Consumer, Rebalance
from kit.kafka.producers import MAX_BATCH_BYTES, MAX_DEAD_LETTER_BYTES, Producer, TransactionalProducer
from kit.kafka.reader import Chunk, Reader, read_all

__all__ = [
    "MAX_BATCH_BYTES", "MAX_DEAD_LETTER_BYTES", "Admin", "Chunk", "Consumer", "Fenced", "GroupInUse", "KafkaError",
    "OffsetGone", "Partition", "Producer", "Reader", "Rebalance", "Record", "TransactionalProducer", "admin",
    "move_group", "ping", "read_all",
]  # fmt: skip
