"""Reads and writes whole databases as they are stored, for backup and restore."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import bson
import pymongo
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp
from pymongo import ASCENDING, DeleteOne, ReplaceOne
from pymongo.read_concern import ReadConcern

from kit.mongo.changes import RAW, ClusterTime, token_time, translate_position_errors
from kit.mongo.database import Database, translate_errors

BATCH = 1_000
BY_ID = [("_id", ASCENDING)]
WAIT_MS = 200
WITH_DOCUMENT, REMOVED = ("insert", "replace", "update"), "delete"


class UnsupportedChange(Exception):
    """A collection was dropped or renamed while it was read."""


@dataclass(frozen=True)
class Range:
    """Documents in order of `_id`, in BSON one after the other; `last` is the last one's id."""

    content: bytes
    documents: int
    last: object


async def collections(database: Database) -> list[str]:
    """Names of the collections."""
    with translate_errors():
        names = await database.list_collection_names(filter={"type": "collection"})
    return sorted(name for name in names if not name.startswith("system."))


async def read_range(
    database: Database, collection: str, after: object, since: ClusterTime, most_bytes: int
) -> Range | None:
    """Documents after the id `after`, about `most_bytes` of them; None if there are no more.

    Each document is as of `since` or later: read with majority, nothing is read that may be rolled back. A bound of the
    index, unlike `$gt`, finds ids of every type; it includes `after`.
    """
    bound: dict[str, Any] = {} if after is None else {"min": {"_id": after}}
    settled = database.get_collection(collection, read_concern=ReadConcern("majority"))
    content = bytearray()
    with translate_errors():
        async with await database.client.start_session(causal_consistency=True) as session:
            session.advance_operation_time(_before(since))
            found = settled.find_raw_batches(
                {}, sort=BY_ID, hint=BY_ID, batch_size=BATCH, session=session, **bound
            )  # fmt: skip
            async for batch in found:
                content += batch
                if len(content) >= most_bytes:
                    break
            await found.close()
    read = list(split(bytes(content)))
    if after is not None and read and RawBSONDocument(read[0])["_id"] == after:
        read = read[1:]
    return Range(b"".join(read), len(read), RawBSONDocument(read[-1])["_id"]) if read else None


async def read_changes(
    database: Database, since: ClusterTime, until: ClusterTime, without: Sequence[str]
) -> AsyncIterator[bytes]:
    """Changes from `since` until just before `until`, in order, as `apply_changes` reads them.

    A changed document is whole, as a replacement is in the oplog. Raises `PositionGone`, `UnsupportedChange`.
    """
    last = _before(until)
    pipeline = [{"$match": {"ns.coll": {"$nin": list(without)}}}]
    with translate_position_errors(), pymongo.timeout(0):  # see `ChangeStream._request`
        async with database.with_options(codec_options=RAW).watch(
            pipeline,
            full_document="updateLookup",
            start_at_operation_time=since,
            batch_size=BATCH,
            max_await_time_ms=WAIT_MS,
        ) as stream:
            while True:
                change = await stream.try_next()
                if change is None:
                    if token_time(stream.resume_token or {}) >= last:
                        return
                elif change["clusterTime"] > last:
                    return
                elif entry := _entry(change):
                    yield entry


def _entry(change: Mapping[str, Any]) -> bytes | None:
    kind = change["operationType"]
    if kind not in (*WITH_DOCUMENT, REMOVED):
        raise UnsupportedChange(f"{kind} of {change['ns']}")
    document = change.get("fullDocument")
    if document is None and kind != REMOVED:  # updated, and removed before it was looked up: that is the next change
        return None
    return bson.encode({"collection": change["ns"]["coll"], "id": change["documentKey"]["_id"], "document": document})


def _before(time: ClusterTime) -> Timestamp:
    return Timestamp(time.time, time.inc - 1)  # `cluster_time` is one ahead of the newest operation


def split(content: bytes) -> Iterator[bytes]:
    """Yield the documents: each begins with its length in bytes. Raises `ValueError` if the last one is incomplete."""
    begin = 0
    while begin < len(content):
        end = begin + int.from_bytes(content[begin : begin + 4], "little")
        if not begin + 5 <= end <= len(content):
            raise ValueError("incomplete BSON")
        yield content[begin:end]
        begin = end


def check(documents: Iterable[bytes]) -> int:
    """Decode every document. Returns how many there are. Raises `ValueError`."""
    count = 0
    for document in documents:
        try:
            bson.decode(document)
        except bson.InvalidBSON as error:
            raise ValueError(str(error)) from error
        count += 1
    return count


async def write_raw(database: Database, collection: str, documents: Sequence[bytes]) -> None:
    """Insert documents in BSON."""
    with translate_errors():
        await database.get_collection(collection, codec_options=RAW).insert_many(map(RAW.document_class, documents))


async def apply_changes(database: Database, entries: Iterable[bytes]) -> int:
    """Repeat the changes that `read_changes` yielded, in their order. Returns how many there are."""
    writes, count = dict[str, dict[object, ReplaceOne[dict[str, object]] | DeleteOne]](), 0
    for entry in map(RawBSONDocument, entries):
        identity, document = entry["id"], entry["document"]
        write = DeleteOne({"_id": identity}) if document is None else ReplaceOne({"_id": identity}, document, True)
        writes.setdefault(cast(str, entry["collection"]), {})[identity] = write
        count += 1
    with translate_errors():
        for collection, newest in writes.items():
            await database.get_collection(collection, codec_options=RAW).bulk_write([*newest.values()], ordered=False)
    return count
