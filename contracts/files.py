"""Generates the files of the contracts: JSON Schemas, asyncapi.yaml (AsyncAPI 3.0) and docs/events.md."""

import json
from importlib.resources import files
from pathlib import Path

import yaml
from jsoncompat import check_compat

from contracts import EVENTS
from contracts.page import events_page
from kit.core.events import EventData

FILES = Path(str(files("contracts")))
Schema = dict[str, object]


def schema_text(event: type[EventData]) -> str:
    """The JSON Schema (2020-12) of an event's data; additional properties are allowed, so that fields can be added."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": event.TYPE}
    return json.dumps(dialect | event.model_json_schema() | {"title": event.TYPE}, indent=2, ensure_ascii=False) + "\n"


def compatible(old: str, new: str) -> bool:
    """Whether consumers of either schema accept the events of the other."""
    backward = check_compat(_closed(old), new, "deserializer")
    forward = check_compat(old, _closed(new), "serializer")
    return backward and forward


def _closed(schema: str) -> str:
    """The schema without additional properties: what a producer of this version writes."""

    def close(node: object) -> object:
        if isinstance(node, dict):
            closed = {key: close(value) for key, value in node.items()}
            return {"additionalProperties": False, **closed} if "properties" in node else closed
        return [close(item) for item in node] if isinstance(node, list) else node

    return json.dumps(close(json.loads(schema)))


def render() -> dict[str, str]:
    """The text of every generated file, by its path relative to contracts/."""
    schemas = {f"schemas/{event.TYPE}.json": schema_text(event) for event in EVENTS}
    document = yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=120)
    return schemas | {"asyncapi.yaml": document, "../docs/events.md": events_page(_headers())}


def asyncapi() -> Schema:
    """The AsyncAPI document: channels are topics, messages are event types."""
    topics = sorted({event.TOPIC for event in EVENTS})
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Practitioner portal: events",
            "version": "1.0.0",
            "description": "CloudEvents 1.0 in Kafka binary mode. The message key is the document id; the partition "
            "is the CRC-32 of the practitioner id modulo the partition count, so all events of one person are in "
            "order. Read with isolation.level=read_committed. A snapshot or a replay repeats versions, also older "
            "ones, the newest last: apply an event only when its version is greater than the one you have. A Kafka "
            "record without a value (`ce_type` document.removed.v1) is a tombstone: its document was removed.",
        },
        "defaultContentType": "application/json",
        "channels": {topic: _channel(topic) for topic in topics},
        "operations": {f"publish.{topic}": _operation(topic) for topic in topics},
        "components": {
            "messages": {event.TYPE: _message(event) for event in EVENTS},
            "messageTraits": {"cloudevent": {"headers": _headers()}},
        },
    }


def _channel(topic: str) -> Schema:
    types = [event.TYPE for event in EVENTS if topic == event.TOPIC]
    return {"address": topic, "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in types}}


def _operation(topic: str) -> Schema:
    return {"action": "send", "channel": {"$ref": f"#/channels/{topic}"}}


def _message(event: type[EventData]) -> Schema:
    return {
        "name": event.TYPE,
        "summary": (event.__doc__ or "").strip(),
        "traits": [{"$ref": "#/components/messageTraits/cloudevent"}],
        "payload": {"$ref": f"./schemas/{event.TYPE}.json"},
        "bindings": {"kafka": {"key": {"type": "string", "description": f"{event.SUBJECT} (= ce_subject)"}}},
    }


def _headers() -> Schema:
    described = {
        "ce_specversion": "1.0",
        "ce_type": "the event type",
        "ce_source": "the producing service, such as /records",
        "ce_id": "<document id>:<version>",
        "ce_time": "when the version was written (RFC 3339)",
        "ce_subject": "the document's id",
        "ce_sequence": "the document's version",
        "ce_partitionkey": "the practitioner's id",
        "content-type": "application/json",
    }
    properties = {name: {"type": "string", "description": text} for name, text in described.items()}
    required = [*properties]
    properties["traceparent"] = {"type": "string", "description": "W3C trace context, if the request was traced"}
    return {"type": "object", "properties": properties, "required": required}
