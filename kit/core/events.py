"""Events: CloudEvents 1.0 in Kafka's binary mode (`ce_*` headers, JSON value), written and read.

The mapping is written by hand: the cloudevents library costs 20 µs an event, more than the rest of publishing it. The
tests read the result with that library.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import ClassVar, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field

from kit.core.documents import PERSON, field_of
from kit.core.errors import Reject
from kit.observability import tracing

CONTENT_TYPE = "application/json"
MAX_EVENT_BYTES = 900 * 1024  # below the topics' max.message.bytes
REMOVED = "document.removed.v1"
"""The type in the headers of a tombstone: the document of this key is removed permanently."""
Headers = Sequence[tuple[str, bytes]]


class EventData(BaseModel):
    """The data common to all events of versioned documents; subclasses in contracts add their fields and names."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    TYPE: ClassVar[str]  # like records.record.changed.v1
    TOPIC: ClassVar[str]
    SUBJECT: ClassVar[str]  # the field that holds the document's id

    practitioner_id: str = Field(description="whose document it is")
    version: int = Field(description="of the document: 1, 2, 3 …")
    action: str = Field(description="what made this version: created, changed, deleted …")
    changed: list[str] = Field(description="names of the fields that differ from the version before")
    at: datetime = Field(description="when this version was written")

    @classmethod
    def of(cls, document: Mapping[str, object], **own: object) -> "NewEvent":
        """The event of a document's current version: the contract's fields, from `own` or else from the document.

        The values are not validated again, for speed: they were when the document was made, and tests validate every
        publication against its contract. Raises KeyError when a field is missing.
        """
        found = {**document, "at": document["updated_at"], **own}
        traceparent = field_of(found, "traceparent", str) if found.get("traceparent") else None
        return NewEvent(cls, {name: found[name] for name in _names(cls)}, traceparent)


@cache
def _names(contract: type[EventData]) -> tuple[str, ...]:
    return tuple(contract.model_fields)


class NewEvent(NamedTuple):
    """An event to be published: its contract, the data that the contract names, the span that wrote the version."""

    contract: type[EventData]
    data: dict[str, object]
    traceparent: str | None = None


Publication = Callable[[Mapping[str, object]], Iterable[NewEvent]]
"""Returns the events of a document (as stored, the version just written)."""


class Outgoing(NamedTuple):
    """A Kafka record to be written."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True)
class Event:
    """An event that was read; `data` is the JSON text, to be validated by the reader's own contract.

    A tombstone (type `REMOVED`) has none.
    """

    type: str
    id: str
    source: str
    subject: str
    practitioner_id: str
    version: int
    data: bytes
    traceparent: str | None = None


class PublicationFailed(EventData):
    """Published in place of a version that could not be turned into its event, so that subscribers see the gap."""

    TYPE: ClassVar[str] = "publication.failed.v1"
    TOPIC: ClassVar[str] = ""
    SUBJECT: ClassVar[str] = "document_id"

    document_id: str


def encode(event: NewEvent, source: str, partitions: int, topic: str = "") -> Outgoing:
    """The Kafka record of an event. Key = document id, partition by practitioner."""
    contract, data, traceparent = event
    subject, person = field_of(data, contract.SUBJECT, str).encode(), field_of(data, PERSON, str).encode()
    at = _rfc3339(field_of(data, "at", datetime))
    headers = _envelope(contract.TYPE, source, subject, field_of(data, "version", int), at, person)
    if traceparent:
        headers.append((tracing.HEADER, traceparent.encode()))
    data["at"] = at
    value = orjson.dumps(data, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)
    if len(value) > MAX_EVENT_BYTES:
        raise ValueError(f"an event of {len(value)} bytes")
    return Outgoing(topic or contract.TOPIC, zlib.crc32(person) % partitions, subject, value, headers)


def partition_of(person: str, partitions: int) -> int:
    """The partition of all events about a person."""
    return zlib.crc32(person.encode()) % partitions


def tombstone(stone: Mapping[str, object], source: str, partitions: int, topic: str) -> Outgoing:
    """The record that ends a document: no value, and headers as an event has them.

    `stone`: `_id` (the document's), `practitioner_id`, `version` (one after the document's last), `updated_at`.
    """
    subject, person = field_of(stone, "_id", str).encode(), field_of(stone, PERSON, str).encode()
    at = _rfc3339(field_of(stone, "updated_at", datetime))
    headers = _envelope(REMOVED, source, subject, field_of(stone, "version", int), at, person)
    return Outgoing(topic, zlib.crc32(person) % partitions, subject, None, headers)


def _envelope(
    event_type: str, source: str, subject: bytes, version: int, at: str, person: bytes
) -> list[tuple[str, bytes]]:
    sequence = b"%d" % version
    return [
        *_constant_headers(event_type, source),
        ("ce_id", b"%s:%s" % (subject, sequence)),
        ("ce_time", at.encode()),
        ("ce_subject", subject),
        ("ce_sequence", sequence),
        ("ce_partitionkey", person),
    ]


def _rfc3339(moment: datetime) -> str:
    """Format a time from the database, which is UTC even if it has no zone (as in the change stream)."""
    return moment.isoformat(timespec="milliseconds")[:23] + "Z"


@cache
def _constant_headers(event_type: str, source: str) -> tuple[tuple[str, bytes], ...]:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", event_type.encode()),
        ("ce_source", source.encode()),
        ("content-type", CONTENT_TYPE.encode()),
    )


def decode(headers: Headers, value: bytes | None) -> Event:
    """Read a record. Raises `Reject` if it is not one of our events."""
    found = dict(headers)
    try:
        if found["ce_specversion"] != b"1.0" or len(found) != len(headers):
            raise Reject("not a CloudEvent 1.0, or a duplicate header")
        if value is None and found["ce_type"] != REMOVED.encode():
            raise Reject("an event without data")
        return Event(
            type=found["ce_type"].decode(),
            id=found["ce_id"].decode(),
            source=found["ce_source"].decode(),
            subject=found["ce_subject"].decode(),
            practitioner_id=found["ce_partitionkey"].decode(),
            version=int(found["ce_sequence"]),
            data=value or b"",
            traceparent=found[tracing.HEADER].decode() if tracing.HEADER in found else None,
        )
    except (KeyError, ValueError) as error:
        raise Reject(f"a header is missing or wrong: {type(error).__name__}") from error


def structured(headers: Headers, value: bytes) -> bytes:
    """The event of a record in CloudEvents' JSON format: the same attributes, the data as they are.

    Raises `Reject` if it is not one of our events, or its data is not a JSON object.
    """
    decode(headers, value)
    attributes = {name[3:]: text.decode() for name, text in headers if name.startswith("ce_")}
    try:
        if not isinstance(orjson.loads(value), dict):
            raise Reject("the data are no JSON object")
        return orjson.dumps({**attributes, "datacontenttype": CONTENT_TYPE, "data": orjson.Fragment(value)})
    except ValueError as error:
        raise Reject("the data are no JSON") from error
