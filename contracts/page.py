"""The AsyncAPI document as a page to read, docs/events.md: what each topic carries, its fields, a sample."""

import json
from collections.abc import Iterator, Mapping

from contracts import EVENTS
from kit.core.events import EventData

Schema = Mapping[str, object]

_TOP = """# Events: every topic, type and field

Generated from the contracts by `python -m contracts write`, like [asyncapi.yaml](../contracts/asyncapi.yaml), which
says the same to programs. How to read them: [subscribing.md](subscribing.md).
"""
_COMMON = """
## What every event says

Key = `ce_subject` = the document's id. Headers of each record, all of them text:

{headers}
Fields of each value, beside those of its type:

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
    """Name, type and description of each field; the fields of objects follow their object, with its name in front."""
    for name, value in _mapping(schema["properties"]).items():
        field = _mapping(value)
        yield prefix + name, _kind(field), str(field.get("description", "")).replace("<", "&lt;")
        inner, suffix = _inner(field)
        if inner:
            yield from _rows(_mapping(definitions[inner]), definitions, f"{prefix}{name}{suffix}.")


def _kind(field: Schema) -> str:
    """A JSON type in words."""
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
    """The definition that a field refers to, and `[]` when it is a list of them; nothing when it refers to none."""
    if field.get("type") == "array":
        return _inner(_mapping(field["items"]))[0], "[]"
    choices = [_mapping(choice) for choice in _list(field.get("anyOf", [field]))]
    found = [str(choice["$ref"]).rpartition("/")[2] for choice in choices if "$ref" in choice]
    return (found[0] if found else ""), ""


def _mapping(value: object) -> Schema:
    if not isinstance(value, Mapping):
        raise TypeError("an object of a schema is something else")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("a list of a schema is something else")
    return value
