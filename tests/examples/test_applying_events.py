"""How the Python subscriber applies each event of the topic (no servers needed)."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from contracts.files import FILES
from examples.subscriber.subscriber import PERSON_ERASED, PUBLICATION_FAILED, SCHEMA, take

SAMPLE = json.loads((FILES / "samples" / "records.record.changed.v1.json").read_text())
ID, VERSION = SAMPLE["key"], SAMPLE["data"]["version"]


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        yield connection


def event(data: dict[str, Any] | None, event_type: str = SAMPLE["headers"]["ce_type"]) -> ConsumerRecord:
    """A Kafka record as aiokafka returns it; without data a tombstone."""
    value = json.dumps(data).encode() if data is not None else None
    headers = [(name, text.encode()) for name, text in (SAMPLE["headers"] | {"ce_type": event_type}).items()]
    return ConsumerRecord("records.changes", 0, 0, 0, 0, ID.encode(), value, None, 0, 0, headers if value else [])


def version(number: int, **fields: Any) -> dict[str, Any]:
    return {**SAMPLE["data"], "version": number, **fields}


def state(database: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return database.execute("SELECT version, state, out_of_date FROM records").fetchall()


def test_the_sample_becomes_a_row_with_all_its_data(database: sqlite3.Connection) -> None:
    assert take(database, event(SAMPLE["data"])) == f"education {ID} version {VERSION}: changed"
    (row,) = database.execute("SELECT record_id, kind, state, data, attachment, source FROM records")
    data = SAMPLE["data"]
    assert row[:3] == (ID, data["kind"], data["state"])
    assert [json.loads(text) for text in row[3:]] == [data["data"], data["attachment"], data["source"]]


def test_an_older_version_and_a_repetition_change_nothing(database: sqlite3.Connection) -> None:
    take(database, event(version(5)))
    assert [take(database, event(version(number))) for number in (5, 3)] == ["", ""]
    assert state(database) == [(5, "active", 0)]
    assert database.execute("SELECT version FROM arrivals").fetchall() == [(5,)]


def test_a_gap_is_no_error_and_a_deletion_is_a_version(database: sqlite3.Connection) -> None:
    take(database, event(version(1)))
    take(database, event(version(7, state="deleted", action="deleted")))
    assert state(database) == [(7, "deleted", 0)]


def test_an_unpublishable_version_marks_the_row_outdated_until_the_next_version(database: sqlite3.Connection) -> None:
    take(database, event(version(1)))
    take(database, event({"document_id": ID, "version": 2, "action": "failed"}, PUBLICATION_FAILED))
    assert state(database) == [(1, "active", 1)]
    take(database, event(version(3)))
    assert state(database) == [(3, "active", 0)]


def test_a_tombstone_leaves_nothing(database: sqlite3.Connection) -> None:
    take(database, event(version(1)))
    assert take(database, event(None)) == f"{ID}: forgotten"
    assert take(database, event(None)) == ""
    assert state(database) == database.execute("SELECT * FROM arrivals").fetchall() == []


def test_an_erasure_removes_everything_for_good(database: sqlite3.Connection) -> None:
    person = SAMPLE["data"]["practitioner_id"]
    take(database, event(version(1)))
    assert take(database, event({"practitioner_id": person}, PERSON_ERASED)) == f"{person}: erased, 1 records"
    assert take(database, event(version(2))) == ""
    assert state(database) == database.execute("SELECT * FROM arrivals").fetchall() == []


def test_an_unknown_type_is_ignored(database: sqlite3.Connection) -> None:
    assert take(database, event(SAMPLE["data"], "records.record.merged.v1")) == ""
    assert state(database) == []
