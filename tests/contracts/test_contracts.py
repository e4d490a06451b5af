"""The event vocabulary: samples, schemas, and that schemas change compatibly only."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from contracts import EVENTS
from contracts.files import FILES, compatible, render, schema_text
from contracts.records import RecordChanged
from kit.core.events import EventData, NewEvent, decode, encode

by_type = pytest.mark.parametrize("event", EVENTS, ids=[event.TYPE for event in EVENTS])
Schema = dict[str, Any]


def sample(event: type[EventData]) -> dict[str, Any]:
    return dict(json.loads((FILES / "samples" / f"{event.TYPE}.json").read_text()))


@by_type
def test_every_event_has_a_sample_that_its_contract_reads(event: type[EventData]) -> None:
    data = sample(event)["data"]
    read = event.model_validate(data)
    assert json.loads(read.model_dump_json(exclude_unset=True)).keys() == data.keys()
    Draft202012Validator(json.loads(schema_text(event)), format_checker=FormatChecker()).validate(data)


@by_type
def test_publishing_a_sample_gives_the_sample(event: type[EventData]) -> None:
    kept = sample(event)
    data = event.model_validate(kept["data"]).model_dump()
    record = encode(NewEvent(event, data), kept["headers"]["ce_source"], 6)
    assert {name: value.decode() for name, value in record.headers} == kept["headers"]
    assert record.key.decode() == kept["key"]
    assert event.model_validate_json(record.value or b"") == event.model_validate(kept["data"])
    assert decode(record.headers, record.value).id == kept["headers"]["ce_id"]


def test_the_generated_files_match_the_models() -> None:
    assert {name: (FILES / name).read_text() for name in render()} == render()


def test_the_asyncapi_document_names_every_event_and_topic() -> None:
    document = yaml.safe_load((FILES / "asyncapi.yaml").read_text())
    assert document["asyncapi"] == "3.0.0"
    assert set(document["components"]["messages"]) == {event.TYPE for event in EVENTS}
    assert set(document["channels"]) == {event.TOPIC for event in EVENTS}
    for message in document["components"]["messages"].values():
        assert (FILES / message["payload"]["$ref"]).exists()


def test_no_event_has_a_field_for_identifying_data() -> None:
    forbidden = {"document_number", "phone", "address", "portrait", "code"}
    for event in EVENTS:
        assert not forbidden & event.model_fields.keys(), event.TYPE


def grown(change: Callable[[Schema], None]) -> bool:
    old = schema_text(RecordChanged)
    new = deepcopy(json.loads(old))
    change(new)
    return compatible(old, json.dumps(new))


def test_a_schema_may_gain_an_optional_field() -> None:
    def add(schema: Schema) -> None:
        schema["properties"]["remark"] = {"type": "string", "default": ""}

    assert grown(add)


def require_more(schema: Schema) -> None:
    schema["properties"]["remark"] = {"type": "string"}
    schema["required"].append("remark")


def remove(schema: Schema) -> None:
    del schema["properties"]["kind"]
    schema["required"].remove("kind")


def rename(schema: Schema) -> None:
    schema["properties"]["sort"] = schema["properties"].pop("kind")
    schema["required"][schema["required"].index("kind")] = "sort"


def retype(schema: Schema) -> None:
    schema["properties"]["version"] = {"type": "string"}


def widen_choice(schema: Schema) -> None:
    schema["properties"]["state"]["enum"].append("archived")


@pytest.mark.parametrize("change", [require_more, remove, rename, retype, widen_choice])
def test_a_change_that_breaks_a_reader_needs_a_new_version(change: Callable[[Schema], None]) -> None:
    assert not grown(change)
