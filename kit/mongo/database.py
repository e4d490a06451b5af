"""The connection, and translation of the driver's errors."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pymongo
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorClientSession, AsyncIOMotorDatabase
from pymongo import IndexModel
from pymongo.errors import (
    AutoReconnect,
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

from kit.core.errors import Unavailable
from kit.settings import MongoSettings

Fields = Mapping[str, object]
Index = IndexModel
Database = AsyncIOMotorDatabase[dict[str, object]]
Session = AsyncIOMotorClientSession
PING_SECONDS = 1.5
"""Less than a readiness check has, so that the error names the cause."""
AUTHENTICATION_FAILED = 18
"""The error of a password that the server does not know, or not yet."""


class Duplicate(Exception):
    """A document with the same unique key exists already."""


class Conflict(Exception):
    """Another writer wrote first: the caller reads and decides again."""


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn the driver's errors into `Duplicate`, or `Unavailable` if the server is or refuses the password."""
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
        if error.timeout or (isinstance(error, OperationFailure) and error.code == AUTHENTICATION_FAILED):
            raise Unavailable("MongoDB") from error
        raise


@asynccontextmanager
async def connect(settings: MongoSettings, service: str, *, patient: bool = False) -> AsyncIterator[Database]:
    """The service's database: writes are majority and journaled, reads show only such writes. Opening never fails.

    `patient`: an operation may take as long as it needs, like the build of an index.
    """
    limit_ms = None if patient else settings.timeout_ms
    secured: dict[str, Any] = {"tls": True, "tlsCAFile": str(settings.ca)} if settings.ca else {}
    client: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(
        settings.url.get_secret_value(),
        serverSelectionTimeoutMS=settings.timeout_ms,
        timeoutMS=limit_ms,
        socketTimeoutMS=limit_ms,
        maxPoolSize=settings.pool_size,
        appname=service,
        tz_aware=True,
        **secured,
    )
    try:
        yield client.get_database(
            settings.database or service,
            write_concern=WriteConcern(w="majority", j=True),
            read_concern=ReadConcern("majority"),
        )
    finally:
        client.close()


async def ping(database: Database) -> None:
    """A readiness check: there is a primary."""
    with translate_errors(), pymongo.timeout(PING_SECONDS):
        await database.command("ping")
