"""API clients that follow the records over HTTP: by the change feed, and with webhooks."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2

from kit.security.tokens import Caller, TokenIssuer
from tests.support.names import own_name

CHANGES = "/api/records/changes"
WEBHOOKS = "/api/subscriptions/webhooks"
SCOPE = "changes:read"
PAUSE_SECONDS = 0.2


@dataclass
class Client:
    """A client with the scope `changes:read`, unless a test says otherwise."""

    http: httpx2.AsyncClient
    issuer: TokenIssuer
    scopes: frozenset[str] = frozenset({SCOPE})
    id: str = field(default_factory=lambda: own_name("client"))

    def __post_init__(self) -> None:
        token = self.issuer.issue(Caller(self.id, "client", scopes=self.scopes))
        self._headers = {"Authorization": f"Bearer {token}"}

    async def call(self, method: str, path: str, **request: Any) -> httpx2.Response:
        headers = {**self._headers, **request.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, timeout=40, **request)

    async def changes(self, **query: Any) -> httpx2.Response:
        return await self.call("GET", CHANGES, params=query)

    async def end(self) -> str:
        """The cursor after the last event."""
        answer = await self.changes(since=datetime(2099, 1, 1, tzinfo=UTC).isoformat())
        assert answer.status_code == 200, answer.text
        return str(answer.json()["next_cursor"])

    async def registered(self, url: str, **more: Any) -> dict[str, Any]:
        answer = await self.call("POST", WEBHOOKS, json={"url": url, **more})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def forget(self) -> None:
        """Deletes the client's webhooks, so that nothing is delivered to a receiver that has ended."""
        for one in (await self.call("GET", WEBHOOKS, params={"limit": 200})).json()["items"]:
            match = {"If-Match": f'"{one["version"]}"'}
            await self.call("DELETE", f"{WEBHOOKS}/{one['webhook_id']}", headers=match)

    async def webhook(self, webhook_id: str) -> dict[str, Any]:
        answer = await self.call("GET", f"{WEBHOOKS}/{webhook_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@dataclass
class Follower:
    """Follows the feed as its documentation says: keeps the cursor, and retries after any error."""

    client: Client
    cursor: str
    events: list[dict[str, Any]] = field(default_factory=list)
    troubles: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._follow())
        try:
            yield
            if task.done():
                task.result()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _follow(self) -> None:
        while True:
            try:
                answer = await self.client.changes(after=self.cursor, wait=10, limit=500)
            except httpx2.TransportError:
                answer = None
            if answer is None or answer.status_code >= 500:
                self.troubles += 1
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            assert answer.status_code == 200, answer.text
            body = answer.json()
            self.events += body["items"]
            self.cursor = body["next_cursor"]


def by_person(events: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """The ids of events in order, by person."""
    found: dict[str, list[str]] = {}
    for event in events:
        found.setdefault(event["partitionkey"], []).append(event["id"])
    return found


def first_times(ids: Sequence[str]) -> list[str]:
    """Each id once, in the order of first occurrence."""
    return list(dict.fromkeys(ids))
