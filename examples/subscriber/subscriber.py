"""A downstream system, whole: every record of every person in a table of its own, kept up to date from Kafka.

It needs Python 3.11, aiokafka and this file. Copy it and make it yours; docs/subscribing.md says why it is so.
Rows and the position in the topic are written in one transaction of its database: kill it whenever you like, and it
goes on exactly where its table stands.
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

# `records` is what this system knows, `arrivals` what happened in the order in which it came: act on that, if you must.
SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA secure_delete = ON; -- what is forgotten is overwritten
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
KEEP = """
INSERT INTO records SELECT :record_id, :version, :practitioner_id, :kind, :state, :data, :attachment, :source, 0
WHERE :practitioner_id NOT IN erased
ON CONFLICT (record_id) DO UPDATE SET version = excluded.version, practitioner_id = excluded.practitioner_id,
    kind = excluded.kind, state = excluded.state, data = excluded.data, attachment = excluded.attachment,
    source = excluded.source, out_of_date = 0
WHERE excluded.version > records.version
"""
NOTE = """
INSERT INTO arrivals (record_id, version, practitioner_id, action, at)
VALUES (:record_id, :version, :practitioner_id, :action, :at)
"""


def take(database: sqlite3.Connection, event: ConsumerRecord) -> str:
    """Bring the table up to date with one event. Returns what it did, or nothing when the event told nothing new."""
    key = event.key.decode()
    if event.value is None:
        return forget(database, key)
    kind = dict(event.headers)["ce_type"].decode()
    data = json.loads(event.value)
    if kind == RECORD_CHANGED:
        return keep(database, data)
    if kind == PERSON_ERASED:
        return erase(database, data["practitioner_id"])
    if kind == PUBLICATION_FAILED:
        return distrust(database, key, data["version"])
    return ""  # none of my types


def keep(database: sqlite3.Connection, data: dict[str, Any]) -> str:
    """The newest version wins, whatever comes how often, unless its person was erased. Deleted is a version too."""
    nested = {name: json.dumps(data[name], ensure_ascii=False) for name in ("data", "attachment", "source")}
    if database.execute(KEEP, data | nested).rowcount == 0:
        return ""
    database.execute(NOTE, data)
    return f"{data['kind']} {data['record_id']} version {data['version']}: {data['action']}"


def distrust(database: sqlite3.Connection, record_id: str, version: int) -> str:
    """A version could not be told: what is here is old until the next one comes."""
    older = "UPDATE records SET out_of_date = 1 WHERE record_id = ? AND version < ?"
    database.execute(older, (record_id, version))
    return f"{record_id} version {version} could not be published: tell the operators of the portal"


def forget(database: sqlite3.Connection, record_id: str) -> str:
    """A tombstone: nothing about this record may be kept, here or wherever this system has copied it to."""
    database.execute("DELETE FROM arrivals WHERE record_id = ?", (record_id,))
    if database.execute("DELETE FROM records WHERE record_id = ?", (record_id,)).rowcount == 0:
        return ""
    return f"{record_id}: forgotten"


def erase(database: sqlite3.Connection, practitioner_id: str) -> str:
    """All about this person goes, for ever: what the other topic still holds of them may come after this."""
    database.execute("INSERT OR IGNORE INTO erased VALUES (?)", (practitioner_id,))
    database.execute("DELETE FROM arrivals WHERE practitioner_id = ?", (practitioner_id,))
    gone = database.execute("DELETE FROM records WHERE practitioner_id = ?", (practitioner_id,)).rowcount
    return f"{practitioner_id}: erased, {gone} records"


def save_positions(database: sqlite3.Connection, positions: dict[TopicPartition, int]) -> None:
    """Where to go on after a restart."""
    rows = [(*partition, offset) for partition, offset in positions.items()]
    database.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", rows)


async def positions_at(consumer: AIOKafkaConsumer, since: datetime) -> dict[TopicPartition, int]:
    """By partition the first event published at that time or later; the end where there is none."""
    ends: dict[TopicPartition, int] = await consumer.end_offsets(consumer.assignment())
    found = await consumer.offsets_for_times(dict.fromkeys(ends, int(since.timestamp() * 1000)))
    return {partition: found[partition].offset if found[partition] else end for partition, end in ends.items()}


async def go_on(consumer: AIOKafkaConsumer, database: sqlite3.Connection) -> None:
    """Go to where the table stands; a partition without a position is read from its beginning: the first load."""
    for topic, partition, offset in database.execute("SELECT topic, partition, next_offset FROM positions"):
        consumer.seek(TopicPartition(topic, partition), offset)


async def follow(consumer: AIOKafkaConsumer, database: sqlite3.Connection, once: bool) -> None:
    """Batch by batch: take the events, save the positions, commit both at once. `once`: stop at the present end."""
    ends = await consumer.end_offsets(consumer.assignment())
    loading = True
    while True:
        batches = await consumer.getmany(timeout_ms=500, max_records=1000)
        with database:  # one transaction
            done = [take(database, event) for events in batches.values() for event in events]
            save_positions(database, {partition: events[-1].offset + 1 for partition, events in batches.items()})
        if not loading:
            print(*filter(None, done), sep="\n", end="\n" if any(done) else "", flush=True)
        elif all([await consumer.position(partition) >= end for partition, end in ends.items()]):
            loading = False
            print("up to date:", *database.execute("SELECT count(*) FROM records").fetchone(), "records", flush=True)
            if once:
                return


async def run(servers: str, path: str, since: datetime | None, once: bool) -> None:
    """Any error ends it; whoever supervises your programs starts it again."""
    consumer = AIOKafkaConsumer(  # without a group it is given all partitions, and its database keeps the positions
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
            await go_on(consumer, database)
            await follow(consumer, database, once)
        finally:
            await consumer.stop()


def security() -> dict[str, Any]:
    """In production: your system's own user, over TLS. The local stack has neither."""
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
    """Read the arguments and run until it is killed."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    servers = os.environ.get("KAFKA")
    arguments.add_argument("--kafka", default=servers, required=not servers, help="host:port, or set KAFKA")
    arguments.add_argument("--database", default="records.db", help="the SQLite file")
    arguments.add_argument("--since", type=datetime.fromisoformat, help="read again from this time on, like 2026-11-01")
    arguments.add_argument("--once", action="store_true", help="stop when the table is up to date")
    given = arguments.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(run(given.kafka, given.database, given.since, given.once))


if __name__ == "__main__":
    main()
