"""The events that the change feed and webhooks pass on: Kafka records in CloudEvents' JSON format."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import orjson

from kit.core.clock import rfc3339
from kit.core.errors import Reject
from kit.core.events import structured
from kit.kafka import Record
from kit.observability import log
from services.subscriptions import metrics

FORGOTTEN = "subscriptions.document.forgotten.v1"
FROM_TOMBSTONE = ("sequence", "partitionkey")
logger = log.get(__name__)


@dataclass(frozen=True)
class FeedEvent:
    """One event. `at`: when it was written to Kafka, in ms; `person`: whom it is about; `body`: the CloudEvent."""

    partition: int
    offset: int
    at: int
    id: str
    type: str
    person: str
    body: bytes

    @cached_property
    def kind(self) -> str | None:
        """The kind of record it is about; None if its data has none."""
        data = orjson.loads(self.body)["data"]
        kind = data.get("kind") if isinstance(data, dict) else None
        return kind if isinstance(kind, str) else None


def parse_event(record: Record) -> FeedEvent | None:
    """The event in a Kafka record; None if it is not an event, which is logged and counted."""
    try:
        return _forgotten(record) if record.value is None else _event(record)
    except Reject as error:
        metrics.feed_unreadable.inc()
        logger.warning("record is not an event", partition=record.partition, offset=record.offset, cause=str(error))
        return None


def person_of(record: Record) -> str:
    """The partition key of a Kafka record, from its headers; of a tombstone without headers, the message key."""
    headers: dict[str, bytes] = dict(record.headers)
    return headers.get("ce_partitionkey", record.key or b"").decode(errors="replace")


def _event(record: Record) -> FeedEvent:
    body = structured(record.headers, record.value)
    headers = dict(record.headers)
    identity, event_type = headers["ce_id"].decode(), headers["ce_type"].decode()
    return FeedEvent(record.partition, record.offset, record.timestamp, identity, event_type, person_of(record), body)


def _forgotten(record: Record) -> FeedEvent:
    """The event for a tombstone: subscribers must remove the document. Its id is its position in the topic.

    It has the attributes of the tombstone's headers that every event has; tombstones of earlier versions have none.
    """
    headers: dict[str, bytes] = dict(record.headers)
    known = {name: headers[f"ce_{name}"].decode(errors="replace") for name in FROM_TOMBSTONE if f"ce_{name}" in headers}
    subject = (record.key or b"").decode(errors="replace")
    identity = f"{record.topic}:{record.partition}:{record.offset}"
    at = rfc3339(datetime.fromtimestamp(record.timestamp / 1000, UTC))
    attributes = {
        "specversion": "1.0", "id": identity, "source": "/subscriptions", "type": FORGOTTEN,
        "subject": subject, "time": at, "data": None, **known,
    }  # fmt: skip
    body = orjson.dumps(attributes)
    return FeedEvent(record.partition, record.offset, record.timestamp, identity, FORGOTTEN, person_of(record), body)
