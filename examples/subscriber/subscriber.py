"""A complete subscriber: a table with all records of all people, kept up to date from Kafka.

It needs Python 3.11, aiokafka and this file. Copy and change it; docs/subscribing.md explains the design. Rows and
positions in the topics are written in one database transaction, so it can be killed at any time: after a restart it
continues where its table is.
"""

import argparse
import asyncio
import json
import os
import sqlite3
import ssl
from contextlib import closing, suppress
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

TOPICS = ("records.changes", "identity.changes")
RECORD_CHANGED = "records.record.changed.v1"
PERSON_ERASED = "identity.practitioner.erased.v1"
PUBLICATION_FAILED = "publication.failed.v1"

# `records` has the current state, `arrivals` the events in the order of their arrival, for programs that react to them.
SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA secure_delete = ON; -- overwrite removed rows
CREATE TABLE IF NOT EXISTS records (
    record_id TEXT PRIMARY KEY, version INTEGER NOT NULL, practitioner_id TEXT NOT NULL, kind TEXT NOT NULL,
    state TEXT NOT NULL, data TEXT NOT NULL, attachment TEXT NOT NULL, source TEXT NOT NULL,
    out_of_date INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS arrivals (
    number INTEGER PRIMARY KEY, record_id TEXT NOT NULL, version INTEGER NOT NULL, practitioner_id TEXT NOT NULL,
    action TEXT NOT NULL, at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS arrivals_of_a_record ON arrivals (record_id);
CREATE INDEX IF NOT EXISTS arrivals_about_a_person ON arrivals (practitioner_id);
CREATE INDEX IF NOT EXISTS records_of_a_person ON records (practitioner_id);
CREATE TABLE IF NOT EXISTS erased (practitioner_id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS positions (
    topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL, PRIMARY KEY (topic, partition)
);
"""
UPSERT = """
INSERT INTO records SELECT :record_id, :version, :practitioner_id, :kind, :state, :data, :attachment, :source, 0
WHERE :practitioner_id NOT IN erased
ON CONFLICT (record_id) DO UPDATE SET version = excluded.version, practitioner_id = excluded.practitioner_id,
    kind = excluded.kind, state = excluded.state, data = excluded.data, attachment = excluded.attachment,
    source = excluded.source, out_of_date = 0
WHERE excluded.version > records.version
"""
ADD_ARRIVAL = """
INSERT INTO arrivals (record_id, version, practitioner_id, action, at)
VALUES (:record_id, :version, :practitioner_id, :action, :at)
"""


def take(database: sqlite3.Connection, event: ConsumerRecord) -> str:
    """Apply one event to the table. Returns a description of the change, empty if there was none."""
    key = event.key.decode()
    if event.value is None:
        return remove(database, key)
    event_type = dict(event.headers)["ce_type"].decode()
    data = json.loads(event.value)
    if event_type == RECORD_CHANGED:
        return store(database, data)
    if event_type == PERSON_ERASED:
        return erase(database, data["practitioner_id"])
    if event_type == PUBLICATION_FAILED:
        return mark_out_of_date(database, key, data["version"])
    return ""  # a type that this system does not use


def store(database: sqlite3.Connection, data: dict[str, Any]) -> str:
    """Store a version unless a newer one is stored or its person was erased; a deletion is a version too."""
    nested = {name: json.dumps(data[name], ensure_ascii=False) for name in ("data", "attachment", "source")}
    if database.execute(UPSERT, data | nested).rowcount == 0:
        return ""
    database.execute(ADD_ARRIVAL, data)
    return f"{data['kind']} {data['record_id']} version {data['version']}: {data['action']}"


def mark_out_of_date(database: sqlite3.Connection, record_id: str, version: int) -> str:
    """Mark a record whose version could not be published: it is out of date until the next version."""
    older = "UPDATE records SET out_of_date = 1 WHERE record_id = ? AND version < ?"
    database.execute(older, (record_id, version))
    return f"{record_id} version {version} could not be published: tell the operators of the portal"


def remove(database: sqlite3.Connection, record_id: str) -> str:
    """Handle a tombstone: remove everything about this record, also from copies that this system has made."""
    database.execute("DELETE FROM arrivals WHERE record_id = ?", (record_id,))
    if database.execute("DELETE FROM records WHERE record_id = ?", (record_id,)).rowcount == 0:
        return ""
    return f"{record_id}: forgotten"


def erase(database: sqlite3.Connection, practitioner_id: str) -> str:
    """Remove everything about this person, and ignore later events: the other topic may still have older ones."""
    database.execute("INSERT OR IGNORE INTO erased VALUES (?)", (practitioner_id,))
    database.execute("DELETE FROM arrivals WHERE practitioner_id = ?", (practitioner_id,))
    count = database.execute("DELETE FROM records WHERE practitioner_id = ?", (practitioner_id,)).rowcount
    return f"{practitioner_id}: erased, {count} records"


def save_positions(database: sqlite3.Connection, positions: dict[TopicPartition, int]) -> None:
    """Store the next offset of each partition."""
    rows = [(*partition, offset) for partition, offset in positions.items()]
    database.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", rows)


async def positions_at(consumer: AIOKafkaConsumer, since: datetime) -> dict[TopicPartition, int]:
    """The offset of the first event at or after a time, by partition; the end of the partition if there is none."""
    ends: dict[TopicPartition, int] = await consumer.end_offsets(consumer.assignment())
    found = await consumer.offsets_for_times(dict.fromkeys(ends, int(since.timestamp() * 1000)))
    return {partition: found[partition].offset if found[partition] else end for partition, end in ends.items()}


async def seek(consumer: AIOKafkaConsumer, database: sqlite3.Connection) -> None:
    """Move to the stored positions; a partition without one is read from its beginning."""
    for topic, partition, offset in database.execute("SELECT topic, partition, next_offset FROM positions"):
        consumer.seek(TopicPartition(topic, partition), offset)


async def follow(consumer: AIOKafkaConsumer, database: sqlite3.Connection, once: bool) -> None:
    """Apply batches of events, each in one transaction with its positions; `once`: stop at the current end."""
    ends = await consumer.end_offsets(consumer.assignment())
    loading = True
    while True:
        batches = await consumer.getmany(timeout_ms=500, max_records=1000)
        with database:  # one transaction
            changes = [take(database, event) for events in batches.values() for event in events]
            save_positions(database, {partition: events[-1].offset + 1 for partition, events in batches.items()})
        if not loading:
            print(*filter(None, changes), sep="\n", end="\n" if any(changes) else "", flush=True)
        elif all([await consumer.position(partition) >= end for partition, end in ends.items()]):
            loading = False
            print("up to date:", *database.execute("SELECT count(*) FROM records").fetchone(), "records", flush=True)
            if once:
                return


async def run(servers: str, path: str, since: datetime | None, once: bool) -> None:
    """Run until an error ends it; a supervisor must restart it."""
    consumer = AIOKafkaConsumer(  # no consumer group: it reads all partitions, and its database has the positions
        *TOPICS, bootstrap_servers=servers, isolation_level="read_committed", auto_offset_reset="earliest",
        enable_auto_commit=False, **security(),
    )  # fmt: skip
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA)
        await consumer.start()
        try:
            if since:
                with database:
                    save_positions(database, await positions_at(consumer, since))
            await seek(consumer, database)
            await follow(consumer, database, once)
        finally:
            await consumer.stop()


def security() -> dict[str, Any]:
    """The settings of TLS and of your system's Kafka user."""
    if "KAFKA_USER" not in os.environ:
        return {}
    return {
        "security_protocol": "SASL_SSL",
        "ssl_context": ssl.create_default_context(cafile=os.environ.get("KAFKA_CA")),
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": os.environ["KAFKA_USER"],
        "sasl_plain_password": os.environ["KAFKA_PASSWORD"],
    }


def main() -> None:
    """Parse the arguments and run until killed."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    servers = os.environ.get("KAFKA")
    arguments.add_argument("--kafka", default=servers, required=not servers, help="host:port, or set KAFKA")
    arguments.add_argument("--database", default="records.db", help="the SQLite file")
    arguments.add_argument("--since", type=datetime.fromisoformat, help="read again from this time on, like 2026-11-01")
    arguments.add_argument("--once", action="store_true", help="stop when the table is up to date")
    options = arguments.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(run(options.kafka, options.database, options.since, options.once))


if __name__ == "__main__":
    main()
