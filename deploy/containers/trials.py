"""What is tried on running containers: one is killed, and all are replaced by a new version under load."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2

from deploy.containers.compose import Composed
from deploy.local.samples import RECORDS

RATE = 20
"""Requests a second."""
EACH_WRITE = 10
"""One of so many requests adds a record: a person may add 2,000 an hour."""
PATIENCE = 300
"""Seconds after which a request that is tried again counts as failed."""
COMES_BACK_WITHIN = 120
_TARGETS = "http://127.0.0.1:9090/api/v1/targets"
_RECORDS = "/api/records/practitioners/me/records"


async def crash(composed: Composed, name: str) -> tuple[float, float]:
    """Kill a container's first process; returns the seconds until it runs again, and until it is healthy."""
    container = composed.container(name)
    before = (await composed.engine.inspect(container))["State"]
    began, started = time.monotonic(), 0.0
    os.kill(before["Pid"], signal.SIGKILL)
    async with asyncio.timeout(COMES_BACK_WITHIN):
        while True:
            state = (await composed.engine.inspect(container))["State"]
            again = state["Running"] and state["StartedAt"] != before["StartedAt"]
            started = started or (time.monotonic() - began if again else 0.0)
            if again and state["Health"]["Status"] == "healthy":
                return started, time.monotonic() - began
            await asyncio.sleep(0.2)


async def unreachable_targets() -> tuple[int, list[str]]:
    """Return how many targets Prometheus has, and those that it can't scrape."""
    async with httpx2.AsyncClient(timeout=30) as http:
        targets = (await http.get(_TARGETS)).raise_for_status().json()["data"]["activeTargets"]
    return len(targets), [f"{each['scrapeUrl']}: {each['lastError']}" for each in targets if each["health"] != "up"]


async def trail_lines(composed: Composed) -> int:
    """Return how many security events and requests the container `trail` has stored."""
    counted = await composed.compose("exec", "-T", "trail", "sh", "-c", "cat /kept/*.jsonl | wc -l")
    return int(counted)


@dataclass
class Visitor:
    """Sends requests of one person at a fixed rate; some add a record. What fails is tried again."""

    http: httpx2.AsyncClient
    session: dict[str, Any]
    sent: int = 0
    failed: int = 0
    retried: int = 0
    longest: float = 0.0
    added: set[str] = field(default_factory=set)
    _refreshing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def visit(self, until: asyncio.Event) -> None:
        """Send requests, whether earlier ones have been answered or not; at the end wait for all answers."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as requests:
            while not until.is_set():
                requests.create_task(self._request(self.sent))
                self.sent += 1
                await asyncio.sleep(max(0.0, began + self.sent / RATE - time.monotonic()))

    async def _request(self, number: int) -> None:
        key, began, tries = str(uuid4()), time.monotonic(), 0
        while time.monotonic() - began < PATIENCE:
            tries += 1
            response = await self._try(number, key)
            if response is not None and response.status_code == 401:
                await self._refresh(response.request.headers["Authorization"])
            if response is not None and response.status_code in (200, 201):
                self.retried += tries > 1
                self.longest = max(self.longest, time.monotonic() - began)
                if response.status_code == 201:
                    self.added.add(response.json()["record_id"])
                return
            await asyncio.sleep(float(response.headers.get("Retry-After", 1)) if response is not None else 1.0)
        self.failed += 1

    async def _try(self, number: int, key: str) -> httpx2.Response | None:
        headers = self._headers()
        with contextlib.suppress(httpx2.HTTPError):
            if number % EACH_WRITE:
                return await self.http.get(_RECORDS, params={"limit": 1}, headers=headers)
            kind, data = RECORDS[0]
            body = {"kind": kind, "data": data}
            return await self.http.post(_RECORDS, json=body, headers=headers | {"Idempotency-Key": key})
        return None

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.session['access_token']}"}

    async def _refresh(self, used: str) -> None:
        """Get new tokens, unless that was done since `used` was sent; an access token is valid for five minutes."""
        async with self._refreshing:
            if used == self._headers()["Authorization"]:
                body = {"refresh_token": self.session["refresh_token"]}
                with contextlib.suppress(httpx2.HTTPError):
                    answer = await self.http.post("/api/identity/tokens/refresh", json=body)
                    self.session = answer.json() if answer.is_success else self.session

    async def stored(self) -> list[str]:
        """Return the ids of all records of the person."""
        found: list[str] = []
        parameters: dict[str, str] = {"limit": "200"}
        while True:
            await self._refresh(self._headers()["Authorization"])
            page = (await self.http.get(_RECORDS, params=parameters, headers=self._headers())).raise_for_status().json()
            found += [each["record_id"] for each in page["items"]]
            if not page["next_cursor"]:
                return found
            parameters["cursor"] = page["next_cursor"]


@asynccontextmanager
async def visiting(visitor: Visitor) -> AsyncIterator[None]:
    """Send requests while this is open; after it all of them have been answered or have failed."""
    enough = asyncio.Event()
    task = asyncio.create_task(visitor.visit(enough))
    try:
        yield
    finally:
        enough.set()
        await task
