"""The change stream, its positions, and the backlog."""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import bson
import pymongo
from bson import json_util
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp
from pymongo import ASCENDING
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern

from kit.mongo.database import Database, Fields, Session, translate_errors

ClusterTime = Timestamp
POSITION_GONE = {260, 280, 286}  # InvalidResumeToken, ChangeStreamFatalError, ChangeStreamHistoryLost
POSITION_GONE |= {9, 15, 40647, 40649, 50811}  # the codes for a damaged token
UNREAD = ("fullDocument.history", "documentKey", "clusterTime", "wallTime", "collectionUUID", "ns.db")
RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)


class PositionGone(Exception):
    """The change stream can't continue from this position: the oplog no longer holds it."""


@dataclass(frozen=True)
class Changes:
    """One batch of the change stream: documents as (collection, version after the change), and the next position."""

    documents: list[tuple[str, dict[str, object]]]
    token: Mapping[str, object]


class ChangeStream:
    """The inserts and replaces of a database (without histories), in batches by the server's own commands.

    After a full batch the next one is prefetched, and decoded only when it is used: the server's work (17 µs a change)
    and ours overlap, and no thread competes with the event loop for the interpreter. Times are UTC without a time
    zone: an aware time costs 2.5 µs. Raises `PositionGone` when `token` has left the oplog.
    """

    def __init__(self, database: Database, collections: Sequence[str], batch: int, wait_ms: int = 500) -> None:
        self._database, self._collections = database, list(collections)
        self._batch, self._wait_ms = batch, wait_ms
        self._session: Session | None = None
        self._cursor = 0
        self._ahead: Awaitable[RawBSONDocument] | None = None
        self._was_full = False

    async def open(self, *, token: Mapping[str, object] | None = None, time: ClusterTime | None = None) -> None:
        """Start after `token`, or at the cluster time `time`."""
        start: dict[str, object] = {"resumeAfter": token} if token else {"startAtOperationTime": time}
        match = {"operationType": {"$in": ["insert", "replace"]}, "ns.coll": {"$in": self._collections}}
        pipeline = [{"$changeStream": start}, {"$match": match}, {"$project": dict.fromkeys(UNREAD, 0)}]
        with translate_position_errors():
            self._session = await self._database.client.start_session()
            opened = await self._database.command(
                {"aggregate": 1, "pipeline": pipeline, "cursor": {"batchSize": 0}}, session=self._session
            )
        self._cursor = opened["cursor"]["id"]

    def _request(self) -> Awaitable[RawBSONDocument]:
        more = {
            "getMore": bson.Int64(self._cursor), "collection": "$cmd.aggregate",
            "batchSize": self._batch, "maxTimeMS": self._wait_ms,
        }  # fmt: skip
        # A client's timeoutMS would replace maxTimeMS: an idle stream would wait until that timeout, and end by it
        # about once a minute. 0 disables it for this call; socketTimeoutMS still applies.
        with pymongo.timeout(0):
            return self._database.command(more, session=self._session, codec_options=RAW)

    async def next(self) -> Changes:
        """The next batch; empty after `wait_ms` without a change."""
        with translate_position_errors():
            reply = await (self._ahead or self._request())
        self._ahead = self._request() if self._was_full else None
        cursor = cast(dict[str, Any], bson.decode(reply.raw)["cursor"])
        if not cursor["id"]:
            raise PositionGone("the stream was closed by the server")
        changes = cursor["nextBatch"]
        self._was_full = len(changes) >= self._batch
        documents = [(change["ns"]["coll"], change["fullDocument"]) for change in changes]
        return Changes(documents, cursor["postBatchResumeToken"])

    async def close(self) -> None:
        """End the session, and with it the cursor on the server."""
        if self._ahead is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(2 * self._wait_ms / 1000):
                    await asyncio.gather(self._ahead, return_exceptions=True)
        if self._session is not None:
            await self._session.end_session()


@contextmanager
def translate_position_errors() -> Iterator[None]:
    """Turn the driver's errors into `PositionGone` if the oplog no longer has the position."""
    try:
        with translate_errors():
            yield
    except OperationFailure as error:
        if error.code in POSITION_GONE or "resume token was not found" in str(error):
            raise PositionGone(str(error.code)) from error
        raise


def token_time(token: Mapping[str, object]) -> Timestamp:
    """The cluster time inside a resume token: its key string begins with 0x82 and the time, big-endian."""
    raw = bytes.fromhex(str(token["_data"])[:18])
    return Timestamp(int.from_bytes(raw[1:5], "big"), int.from_bytes(raw[5:9], "big"))


async def cluster_time(database: Database) -> Timestamp:
    """The time just after the newest operation: a stream opened at it sees everything later, and nothing earlier."""
    with translate_errors():
        reply = await database.command("ping")
    newest = cast(Timestamp, reply["operationTime"])
    return Timestamp(newest.time, newest.inc + 1)


async def page(
    database: Database, collection: str, after: object, size: int, since: ClusterTime
) -> list[dict[str, object]]:
    """`size` documents without history in order of `_id`, after `after`: the steps of a snapshot taken at `since`.

    Read with majority and not before `since`: nothing is read that may be rolled back, nothing written is missed.
    """
    query = {} if after is None else {"_id": {"$gt": after}}
    settled = database.get_collection(collection, read_concern=ReadConcern("majority"))
    with translate_errors():
        async with await database.client.start_session(causal_consistency=True) as session:
            session.advance_operation_time(Timestamp(since.time, since.inc - 1))  # `cluster_time` is one ahead
            cursor = settled.find(
                query, {"history": False}, sort=[("_id", ASCENDING)], limit=size, batch_size=size, session=session
            )
            return await cursor.to_list(size)


@dataclass(frozen=True)
class Backlog:
    """Changes after a point of the oplog: how many (counted up to a limit) and the wall time of the first."""

    events: int
    oldest: float | None


async def backlog(database: Database, collections: Sequence[str], since: Timestamp, limit: int = 100_000) -> Backlog:
    """Count the changes in the oplog after `since`. Needs read access to `local.oplog.rs`."""
    names = [f"{database.name}.{name}" for name in collections]
    changed = {"op": {"$in": ["i", "u"]}, "o.diff": {"$exists": False}}  # an update in place is not published
    query = {"ts": {"$gt": since}, "ns": {"$in": names}, **changed}
    oplog = database.client["local"]["oplog.rs"]
    with translate_errors():
        first = await oplog.find_one(query, {"wall": 1})
        if first is None:
            return Backlog(0, None)
        return Backlog(await oplog.count_documents(query, limit=limit), cast(datetime, first["wall"]).timestamp())


async def oplog_seconds(database: Database) -> float:
    """How far back the oplog reaches. Needs read access to `local.oplog.rs`."""
    oplog = database.client["local"]["oplog.rs"]
    with translate_errors():
        ends = [await oplog.find_one({}, {"wall": 1}, sort=[("$natural", way)]) for way in (1, -1)]
    oldest, newest = (cast(datetime, end["wall"]) for end in ends if end)
    return (newest - oldest).total_seconds()


def position_to_json(position: Fields) -> str:
    """Extended JSON: resume tokens and cluster times survive it."""
    return json_util.dumps(position)


def position_from_json(text: str) -> dict[str, object]:
    """What `position_to_json` wrote."""
    return cast(dict[str, object], json_util.loads(text))
