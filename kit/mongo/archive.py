"""Reads and writes whole databases as they are stored, for backup and restore."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from kit.mongo import RAW, Database, Session, translate_errors


@asynccontextmanager
async def read_snapshot(database: Database) -> AsyncIterator[Session]:
    """A session whose reads all see the server's databases as of the first read.

    The server keeps such a snapshot for `minSnapshotHistoryWindowInSeconds`: five minutes by default.
    """
    with translate_errors():
        async with await database.client.start_session(snapshot=True) as session:
            yield session


async def raw_documents(database: Database, collection: str, session: Session | None = None) -> AsyncIterator[bytes]:
    """Every document of a collection in BSON."""
    found = database.get_collection(collection, codec_options=RAW).find({}, batch_size=1_000, session=session)
    with translate_errors():
        async for document in found:
            yield document.raw


async def write_raw(database: Database, collection: str, documents: Sequence[bytes]) -> None:
    """Insert documents in BSON."""
    with translate_errors():
        await database.get_collection(collection, codec_options=RAW).insert_many(map(RAW.document_class, documents))
