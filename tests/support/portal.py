"""People with a dossier at the portal, their browser logged in, and changes to a session that only a test makes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2

from kit import mongo
from kit.core.clock import SystemClock, rfc3339
from kit.redis import RedisServer
from kit.security.encryption import Cipher
from kit.security.tokens import TokenIssuer
from kit.settings import KeyRing
from services.portal.session.encrypted_cache import EncryptedCache
from services.portal.session.sessions import Session, cookie_hash
from services.records.domain import Record
from services.records.store import Records
from tests.support.browsing import COOKIE, Browsing
from tests.support.identity_clients import Citizen, LoginPage, Window
from tests.support.names import own_id
from tests.support.people import Person
from tests.support.stack import RunningStack

KEPT_SECONDS = 600


@dataclass
class Member:
    """A citizen, their browser, and their dossier at the services."""

    citizen: Citizen
    browsing: Browsing
    file: Person

    async def add(self, kind: str, data: dict[str, Any]) -> str:
        return str((await self.file.created(data, kind=kind))["record_id"])

    async def records(self, kind: str) -> list[dict[str, Any]]:
        return list((await self.file.list(kind=kind)).raise_for_status().json()["items"])


NewMember = Callable[[], Awaitable[Member]]


async def member_of(
    window: Window, login: LoginPage, http: httpx2.AsyncClient, issuer: TokenIssuer, citizen: Citizen | None = None
) -> Member:
    """A citizen, registered at a window and logged in through the pages."""
    citizen = citizen or await window.enrolled()
    browsing = Browsing(http)
    response = await browsing.log_in(citizen, login)
    assert response.headers.get("location") == "/", response.text
    return Member(citizen, browsing, Person(http, issuer, citizen.id))


@asynccontextmanager
async def _vault(stack: RunningStack) -> AsyncIterator[EncryptedCache]:
    """The portal's stored sessions."""
    environment = stack.environment("portal-api")
    ring = KeyRing.model_validate_json(
        f'{{"keys": {environment["SEAL__KEYS"]}, "current": "{environment["SEAL__CURRENT"]}"}}'
    )
    async with RedisServer(stack.redis, "portal") as redis:
        yield EncryptedCache(redis.cache, Cipher(ring))


async def let_token_run_out(stack: RunningStack, browsing: Browsing) -> None:
    """Makes the access token expire, as after five minutes."""
    key = f"session:{cookie_hash(browsing.cookies[COOKIE])}"
    async with _vault(stack) as vault:
        kept = await vault.get(key)
        assert kept
        old = Session.model_validate_json(kept.text).model_copy(update={"access_until": 0})
        assert await vault.swap(key, kept, old.model_dump_json(), KEPT_SECONDS)


async def let_proof_grow_old(stack: RunningStack, browsing: Browsing) -> None:
    """Makes the authentication eleven minutes old."""
    key = f"session:{cookie_hash(browsing.cookies[COOKIE])}"
    async with _vault(stack) as vault, mongo.connect(stack.mongo, "identity") as database:
        kept = await vault.get(key)
        assert kept
        session_id = Session.model_validate_json(kept.text).refresh_token.partition(".")[0]
        long_ago = SystemClock().now() - timedelta(minutes=11)
        changed = await database["sessions"].update_one({"_id": session_id}, {"$set": {"proved_at": long_ago}})
        assert changed.modified_count == 1
    await let_token_run_out(stack, browsing)


async def end_session(stack: RunningStack, browsing: Browsing) -> None:
    """Expires the session, as after two hours."""
    async with RedisServer(stack.redis, "portal") as redis:
        await redis.cache.drop(f"session:{cookie_hash(browsing.cookies[COOKIE])}")


async def import_record(stack: RunningStack, person: str, kind: str, data: dict[str, Any]) -> str:
    """A record as a register delivers it."""
    async with mongo.connect(stack.mongo, "records") as database:
        source = {"system": "上海市建设工程注册管理系统", "key": own_id(), "synced_at": rfc3339(SystemClock().now())}
        fields = {"practitioner_id": person, "kind": kind, "data": data, "source": source, "request": ""}
        record = Record.first(at=SystemClock().now(), by="import", action="created", id=own_id(), **fields)
        await Records(database).insert(record)
    return record.id
