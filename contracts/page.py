"""Renders docs/events.md: for each topic its event types, their fields, and links to schema and sample."""

import json
from collections.abc import Iterator, Mapping

from contracts import EVENTS
from kit.core.events import EventData

Schema = Mapping[str, object]

_TOP = """# Events: every topic, type and field

Generated from the contracts by `python -m contracts write`, like [asyncapi.yaml](../contracts/asyncapi.yaml), the
machine-readable form. How to consume them: [subscribing.md](subscribing.md).
"""
_COMMON = """
## Common to all events

The message key is the document's id, like `ce_subject`. Headers of each Kafka record, all of them text:

{headers}
Fields of each value, in addition to those of its type:

{fields}"""


def events_page(headers: Schema) -> str:
    """The page in Markdown; `headers` is the JSON Schema of the envelope."""
    topics = sorted({event.TOPIC for event in EVENTS})
    common = _COMMON.format(headers=_table(_rows(headers, {})), fields=_table(_rows(EventData.model_json_schema(), {})))
    return _TOP + common + "".join(_topic(topic) for topic in topics)


def _topic(topic: str) -> str:
    return f"\n## Topic `{topic}`\n" + "".join(_event(event) for event in EVENTS if topic == event.TOPIC)


def _event(event: type[EventData]) -> str:
    schema = event.model_json_schema()
    common = EventData.model_fields.keys()
    properties = {name: field for name, field in _mapping(schema["properties"]).items() if name not in common}
    table = _table(_rows({"properties": properties}, _mapping(schema.get("$defs", {}))))
    links = f"[schema](../contracts/schemas/{event.TYPE}.json) · [sample](../contracts/samples/{event.TYPE}.json)"
    summary = (event.__doc__ or "").strip()
    return f"\n### `{event.TYPE}`\n\n{summary} Key: `{event.SUBJECT}`. {links}\n\n{table}"


def _table(rows: Iterator[tuple[str, str, str]]) -> str:
    lines = [f"| `{name}` | {kind} | {text} |\n" for name, kind, text in rows]
    return "| name | type | |\n|---|---|---|\n" + "".join(lines)


def _rows(schema: Schema, definitions: Schema, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Name, type and description of each field; fields of a nested object follow it, named `object.field`."""
    for name, value in _mapping(schema["properties"]).items():
        field = _mapping(value)
        yield prefix + name, _kind(field), str(field.get("description", "")).replace("<", "&lt;")
        inner, suffix = _inner(field)
        if inner:
            yield from _rows(_mapping(definitions[inner]), definitions, f"{prefix}{name}{suffix}.")


def _kind(field: Schema) -> str:
    """The JSON type as text, such as `list of string or null`."""
    if "anyOf" in field:
        return " or ".join(_kind(_mapping(choice)) for choice in _list(field["anyOf"]))
    if "enum" in field or "const" in field:
        choices = _list(field.get("enum", [field.get("const")]))
        return " or ".join(f"`{json.dumps(choice)}`" for choice in choices)
    if "additionalProperties" in field:
        return f"object of {_kind(_mapping(field['additionalProperties']))}"
    if field.get("type") == "array":
        return f"list of {_kind(_mapping(field['items']))}"
    return str(field.get("format", field.get("type", "object")))


def _inner(field: Schema) -> tuple[str, str]:
    """The name of the definition that a field refers to, empty for none, and `[]` as the suffix of a list."""
    if field.get("type") == "array":
        return _inner(_mapping(field["items"]))[0], "[]"
    choices = [_mapping(choice) for choice in _list(field.get("anyOf", [field]))]
    found = [str(choice["$ref"]).rpartition("/")[2] for choice in choices if "$ref" in choice]
    return (found[0] if found else ""), ""


def _mapping(value: object) -> Schema:
    if not isinstance(value, Mapping):
        raise TypeError("expected an object in the JSON Schema")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("expected a list in the JSON Schema")
    return value
