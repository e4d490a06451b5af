"""MongoDB: the only importer of its drivers. Versioned documents, projections, and the change stream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

import bson
import pymongo
from bson import json_util
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorClientSession, AsyncIOMotorDatabase
from pymongo import ASCENDING, IndexModel, InsertOne, ReplaceOne
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
    WTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from kit import tracing
from kit.documents import Document
from kit.errors import AppError, Unavailable
from kit.settings import MongoSettings

Fields = Mapping[str, object]
Index = IndexModel
ClusterTime = Timestamp
Cursor = tuple[datetime, str]
"""Where a page of a list ended: when the last document was created, and its id."""

NEWEST = (("created_at", -1), ("_id", -1))
Database = AsyncIOMotorDatabase[dict[str, object]]
Session = AsyncIOMotorClientSession
D = TypeVar("D", bound=Document)

MAX_DOCUMENT_BYTES = 256 * 1024
DOCUMENT_FULL = "此记录的修改次数已达上限，请联系受理窗口"
DUPLICATE_KEY = 11000
POSITION_GONE = {260, 280, 286}  # InvalidResumeToken, ChangeStreamFatalError, ChangeStreamHistoryLost
POSITION_GONE |= {9, 15, 40647, 40649, 50811}  # what the server calls a token that is damaged
UNREAD = ("fullDocument.history", "documentKey", "clusterTime", "wallTime", "collectionUUID", "ns.db")
RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)


class Duplicate(Exception):
    """A document with the same unique key is there already."""


class Conflict(Exception):
    """Another write was quicker: read again and decide again."""


class PositionGone(Exception):
    """The change stream can't go on from there: the oplog has moved on."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours: `Duplicate`, or `Unavailable` when the server is away."""
    try:
        yield
    except DuplicateKeyError as error:
        raise Duplicate from error
    except (
        ConnectionFailure,
        AutoReconnect,
        NetworkTimeout,
        ExecutionTimeout,
        WTimeoutError,
        WriteConcernError,
    ) as error:
        raise Unavailable("MongoDB") from error
    except PyMongoError as error:
        if error.timeout:
            raise Unavailable("MongoDB") from error
        raise


@asynccontextmanager
async def connect(settings: MongoSettings, service: str) -> AsyncIterator[Database]:
    """The service's database: writes are majority and journaled, reads come from the primary. Opening never fails."""
    client: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(
        settings.url.get_secret_value(),
        serverSelectionTimeoutMS=settings.timeout_ms,
        timeoutMS=settings.timeout_ms,
        socketTimeoutMS=settings.timeout_ms,
        maxPoolSize=settings.pool_size,
        appname=service,
        tz_aware=True,
    )
    try:
        yield client.get_database(
            settings.database or service,
            write_concern=WriteConcern(w="majority", j=True),
            read_concern=ReadConcern("local"),
        )
    finally:
        client.close()


async def ping(database: Database) -> None:
    """A readiness check: there is a primary."""
    with translated():
        await database.command("ping")


class Collection(Generic[D]):
    """Versioned documents of one kind: inserted whole, replaced whole, never updated in place."""

    def __init__(self, database: Database, name: str, model: type[D], indexes: Sequence[IndexModel] = ()) -> None:
        self._collection, self._model, self._missing = database[name], model, list(indexes)

    async def prepare(self) -> None:
        """Create the indexes once; a readiness check."""
        if self._missing:
            with translated():
                await self._collection.create_indexes(self._missing)
            self._missing = []

    async def get(self, document_id: str) -> D | None:
        """The current version with its history, or None."""
        return await self.find_one({"_id": document_id})

    async def find_one(self, query: Fields) -> D | None:
        """The first match with its history, or None."""
        with translated():
            found = await self._collection.find_one(query)
        return None if found is None else self._model.model_validate(found)

    async def find(self, query: Fields, *, sort: Sequence[tuple[str, int]], limit: int) -> list[D]:
        """The matches without their histories."""
        with translated():
            cursor = self._collection.find(query, {"history": False}, sort=list(sort), limit=limit, batch_size=limit)
            found = await cursor.to_list(limit)
        return [self._model.model_validate(document) for document in found]

    async def whole(self, query: Fields) -> list[D]:
        """All matches with their histories: of a query that says itself how many there can be."""
        with translated():
            found = await self._collection.find(query).to_list(None)
        return [self._model.model_validate(document) for document in found]

    async def newest(self, query: Fields, after: Cursor | None, limit: int) -> tuple[list[D], Cursor | None]:
        """A page of the matches without histories, newest first, behind `after`; and where the next one begins."""
        if after:
            created_at, identity = after
            same_time = {"created_at": created_at, "_id": {"$lt": identity}}
            query = {**query, "$or": [{"created_at": {"$lt": created_at}}, same_time]}
        found = await self.find(query, sort=NEWEST, limit=limit + 1)
        page = found[:limit]
        return page, (page[-1].created_at, page[-1].id) if len(found) > limit else None

    async def insert(self, document: D) -> None:
        """Write version 1. Raises `Duplicate`."""
        with tracing.span(f"insert {self._collection.name}"), translated():
            await self._collection.insert_one(_stored(document))

    async def insert_all(self, documents: Sequence[D]) -> None:
        """Write version 1 of each; where nothing else has their ids."""
        if documents:
            with translated():
                await self._collection.insert_many([_stored(document) for document in documents], ordered=False)

    async def replace(self, document: D) -> None:
        """Write the next version in place of the one it was made from. Raises `Conflict` when that isn't current."""
        guard = {"_id": document.id, "version": document.version - 1}
        with tracing.span(f"replace {self._collection.name}"), translated():
            result = await self._collection.replace_one(guard, _stored(document))
        if result.matched_count == 0:
            raise Conflict

    async def write_many(self, documents: Sequence[D]) -> set[str]:
        """Insert first versions, replace by later ones, side by side. Returns the ids of those that are full.

        Raises `Conflict` when one was not written: read all again, and recognise those that were.
        """
        calls, full = list[InsertOne[Any] | ReplaceOne[Any]](), set[str]()
        for document in documents:
            encoded = _encoded(document)
            if _full(document, encoded):
                full.add(document.id)
            elif document.version == 1:
                calls.append(InsertOne(encoded))
            else:
                calls.append(ReplaceOne({"_id": document.id, "version": document.version - 1}, encoded))
        if calls:
            await self._write_many(calls)
        return full

    async def _write_many(self, calls: "Sequence[InsertOne[Any] | ReplaceOne[Any]]") -> None:
        try:
            with translated():
                result = await self._collection.bulk_write(list(calls), ordered=False)
        except BulkWriteError as error:
            if any(each["code"] != DUPLICATE_KEY for each in error.details["writeErrors"]):
                raise
            raise Conflict from error
        if result.inserted_count + result.matched_count < len(calls):
            raise Conflict


def _encoded(document: Document) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(document.model_dump(by_alias=True)))


def _full(document: Document, encoded: RawBSONDocument) -> bool:
    return len(encoded.raw) > MAX_DOCUMENT_BYTES and document.action != "deleted"  # deleting is always possible


def _stored(document: Document) -> RawBSONDocument:
    encoded = _encoded(document)
    if _full(document, encoded):
        raise AppError(409, "document_full", DOCUMENT_FULL)
    return encoded


@dataclass(frozen=True)
class _Put:
    """What is to be kept, and who waits for it."""

    document_id: str
    kept: dict[str, object]
    done: asyncio.Future[None]

    @property
    def older(self) -> Fields:
        return {"_id": self.document_id, "version": {"$lt": self.kept["version"]}}

    def tell(self, error: Exception | None) -> None:
        if self.done.done():  # nobody waits any more
            return
        if error:
            self.done.set_exception(error)
        else:
            self.done.set_result(None)


class Projection:
    """What a consumer keeps of another service's documents: older never beats newer, twice is once.

    What is put while a write is under way goes into the next one, together: one journaled write for each event was a
    third of all that MongoDB had to do for a new record.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._collection = database[name]
        self._waiting: list[_Put] = []
        self._writing: asyncio.Task[None] | None = None

    async def put(self, document_id: str, version: int, fields: Fields) -> None:
        """Keep `fields` unless this version or a newer one is there already."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(_Put(document_id, {"version": version, **fields}, done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await done

    async def _write(self) -> None:
        while self._waiting:
            puts, self._waiting = self._waiting, []
            try:
                with translated():
                    together = [ReplaceOne(put.older, put.kept, upsert=True) for put in puts]
                    await self._collection.bulk_write(together, ordered=False)
            except Unavailable as error:
                _tell(puts, error)
            except Exception:  # of some of them: each by itself, so that none suffers for another
                await asyncio.gather(*map(self._write_alone, puts))
            else:
                _tell(puts, None)

    async def _write_alone(self, put: _Put) -> None:
        try:
            await self._replace(put)
        except Exception as error:
            put.tell(error)
        else:
            put.tell(None)

    async def _replace(self, put: _Put) -> None:
        try:
            with translated():
                await self._collection.replace_one(put.older, put.kept, upsert=True)
        except Duplicate:  # the upsert met its _id: a newer version, or an older one that was put there just now
            with translated():
                await self._collection.replace_one(put.older, put.kept)

    async def get(self, document_id: str) -> Fields | None:
        """What was kept, or None."""
        with translated():
            return await self._collection.find_one({"_id": document_id})


def _tell(puts: Sequence[_Put], error: Exception | None) -> None:
    for put in puts:
        put.tell(error)


@dataclass(frozen=True)
class Changes:
    """One batch of the change stream: the documents as (collection, version after the change), and where to go on."""

    documents: list[tuple[str, dict[str, object]]]
    token: Mapping[str, object]


class ChangeStream:
    """The inserts and replaces of a database (without histories), in batches by the server's own commands (design §2).

    Behind a full batch the next one is read ahead, and decoded only when its turn comes: the server's work (17 µs a
    change) and ours overlap, and no thread competes with the event loop for the interpreter. Times are UTC without
    saying so: an aware time costs 2.5 µs. Raises `PositionGone` when `token` has left the oplog.
    """

    def __init__(self, database: Database, collections: Sequence[str], batch: int, wait_ms: int = 500) -> None:
        self._database, self._collections = database, list(collections)
        self._batch, self._wait_ms = batch, wait_ms
        self._session: AsyncIOMotorClientSession | None = None
        self._cursor = 0
        self._ahead: Awaitable[RawBSONDocument] | None = None
        self._was_full = False

    async def open(self, *, token: Mapping[str, object] | None = None, time: ClusterTime | None = None) -> None:
        """Start after `token`, or at the cluster time `time`."""
        start: dict[str, object] = {"resumeAfter": token} if token else {"startAtOperationTime": time}
        match = {"operationType": {"$in": ["insert", "replace"]}, "ns.coll": {"$in": self._collections}}
        pipeline = [{"$changeStream": start}, {"$match": match}, {"$project": dict.fromkeys(UNREAD, 0)}]
        with _translated_position():
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
        # A client's timeoutMS would replace maxTimeMS: an idle stream then waited as long as its own time-out, and
        # ended by it about once a minute. 0 lifts it for this call; socketTimeoutMS stands in.
        with pymongo.timeout(0):
            return self._database.command(more, session=self._session, codec_options=RAW)

    async def next(self) -> Changes:
        """The next batch; empty after `wait_ms` without a change."""
        with _translated_position():
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
        """Let the server forget the cursor."""
        if self._ahead is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(2 * self._wait_ms / 1000):
                    await asyncio.gather(self._ahead, return_exceptions=True)
        if self._session is not None:
            await self._session.end_session()


@contextmanager
def _translated_position() -> Iterator[None]:
    try:
        with translated():
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
    """A time right behind the newest operation: a stream opened at it sees everything later, and nothing earlier."""
    with translated():
        reply = await database.command("ping")
    newest = cast(Timestamp, reply["operationTime"])
    return Timestamp(newest.time, newest.inc + 1)


async def page(
    database: Database, collection: str, after: str | None, size: int, since: ClusterTime
) -> list[dict[str, object]]:
    """`size` documents without history in order of `_id`, behind `after`: the steps of a snapshot taken at `since`.

    Read with majority and not before `since`: what may be rolled back is not told, what was written is not missed.
    """
    query = {} if after is None else {"_id": {"$gt": after}}
    settled = database.get_collection(collection, read_concern=ReadConcern("majority"))
    with translated():
        async with await database.client.start_session(causal_consistency=True) as session:
            session.advance_operation_time(Timestamp(since.time, since.inc - 1))  # `cluster_time` is one ahead
            cursor = settled.find(
                query, {"history": False}, sort=[("_id", ASCENDING)], limit=size, batch_size=size, session=session
            )
            return await cursor.to_list(size)


@dataclass(frozen=True)
class Backlog:
    """Changes behind a point of the oplog: how many (counted up to a limit) and the wall time of the first."""

    events: int
    oldest: float | None


async def backlog(database: Database, collections: Sequence[str], since: Timestamp, limit: int = 100_000) -> Backlog:
    """Count what the oplog holds behind `since`. Needs read access to `local.oplog.rs`."""
    names = [f"{database.name}.{name}" for name in collections]
    query = {"ts": {"$gt": since}, "ns": {"$in": names}, "op": {"$in": ["i", "u"]}}
    oplog = database.client["local"]["oplog.rs"]
    with translated():
        first = await oplog.find_one(query, {"wall": 1})
        if first is None:
            return Backlog(0, None)
        return Backlog(await oplog.count_documents(query, limit=limit), cast(datetime, first["wall"]).timestamp())


async def oplog_seconds(database: Database) -> float:
    """How far back the oplog reaches. Needs read access to `local.oplog.rs`."""
    oplog = database.client["local"]["oplog.rs"]
    with translated():
        ends = [await oplog.find_one({}, {"wall": 1}, sort=[("$natural", way)]) for way in (1, -1)]
    oldest, newest = (cast(datetime, end["wall"]) for end in ends if end)
    return (newest - oldest).total_seconds()


def position_to_json(position: Fields) -> str:
    """Extended JSON: resume tokens and cluster times survive it."""
    return json_util.dumps(position)


def position_from_json(text: str) -> dict[str, object]:
    """What `position_to_json` wrote."""
    return cast(dict[str, object], json_util.loads(text))
