"""A change as it is handed on: a record of the topic, in CloudEvents' JSON format."""

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
logger = log.get(__name__)


@dataclass(frozen=True)
class Change:
    """One event. `at`: when it was written to Kafka, in milliseconds; `body`: the CloudEvent."""

    partition: int
    offset: int
    at: int
    id: str
    type: str
    person: str
    body: bytes

    @cached_property
    def kind(self) -> str | None:
        """The kind of record it tells of, if it does."""
        data = orjson.loads(self.body)["data"]
        kind = data.get("kind") if isinstance(data, dict) else None
        return kind if isinstance(kind, str) else None


def read(record: Record) -> Change | None:
    """The change a record tells of; None when it is no event, which is counted."""
    try:
        return _forgotten(record) if record.value is None else _event(record)
    except Reject as error:
        metrics.feed_unreadable.inc()
        logger.warning("record is not an event", partition=record.partition, offset=record.offset, cause=str(error))
        return None


def person_of(record: Record) -> str:
    """Whom a record is about, seen without reading it: a tombstone without headers is about its document."""
    headers: dict[str, bytes] = dict(record.headers)
    return headers.get("ce_partitionkey", record.key or b"").decode(errors="replace")


def _event(record: Record) -> Change:
    body = structured(record.headers, record.value)
    headers = dict(record.headers)
    identity, kind = headers["ce_id"].decode(), headers["ce_type"].decode()
    return Change(record.partition, record.offset, record.timestamp, identity, kind, person_of(record), body)


def _forgotten(record: Record) -> Change:
    """A tombstone: whoever keeps the document has to forget it. It has no version, so its place is its name."""
    subject = (record.key or b"").decode(errors="replace")
    identity = f"{record.topic}:{record.partition}:{record.offset}"
    at = rfc3339(datetime.fromtimestamp(record.timestamp / 1000, UTC))
    attributes = {
        "specversion": "1.0", "id": identity, "source": "/subscriptions", "type": FORGOTTEN,
        "subject": subject, "time": at, "data": None,
    }  # fmt: skip
    body = orjson.dumps(attributes)
    return Change(record.partition, record.offset, record.timestamp, identity, FORGOTTEN, person_of(record), body)
