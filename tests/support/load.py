"""Writes through the gateway at a steady rate, and a log of acknowledged writes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import httpx2

from tests.support.checker import Version
from tests.support.people import EDUCATION, Person

TRIES = 60
PAUSE_SECONDS = 0.25
Answer = httpx2.Response | None


@dataclass
class Log:
    """What the callers know. `failed` counts requests without a success; they are retried with the same key."""

    acknowledged: set[Version] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    answers: dict[str, set[str]] = field(default_factory=dict)
    requests: int = 0
    failed: int = 0
    unexpected: list[str] = field(default_factory=list)
    seconds: float = 0

    @property
    def per_second(self) -> float:
        return len(self.acknowledged) / max(0.001, self.seconds)

    @property
    def success(self) -> float:
        return 1 - self.failed / max(1, self.requests)


@dataclass
class Load:
    """Each writer is one person: creates a record, changes it twice, creates the next one."""

    writers: Sequence[Person]
    rate: float
    log: Log = field(default_factory=Log)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Log]:
        """Writes for the length of the block; every started write is retried until it succeeds."""
        began = time.monotonic()
        tasks = [asyncio.create_task(self._write(person, place)) for place, person in enumerate(self.writers)]
        try:
            yield self.log
        finally:
            self._stop.set()
            await asyncio.gather(*tasks)
            self.log.seconds += time.monotonic() - began

    async def _write(self, person: Person, place: int) -> None:
        pause = len(self.writers) / self.rate
        clock = asyncio.get_running_loop().time
        due = clock() + pause * place / len(self.writers)
        identity, version = "", 0
        while not self._stop.is_set():
            await asyncio.sleep(max(0.0, due - clock()))
            due = max(
                due + pause, clock() - 1
            )  # writes delayed by a pause of the server are made up for, within limits
            if version in (0, 3):
                identity, version = await self._create(person)
            else:
                version = await self._change(person, identity, version)

    async def _create(self, person: Person) -> tuple[str, int]:
        key = str(uuid4())
        for _ in range(TRIES):
            response = await self._ask(person.create(key=key))
            if response is not None and response.status_code == 201:
                body = response.json()
                self.log.acknowledged.add((body["record_id"], 1))
                self.log.answers.setdefault(key, set()).add(json.dumps(body, sort_keys=True))
                return body["record_id"], 1
            await asyncio.sleep(PAUSE_SECONDS)
        raise AssertionError("no yes to a new record")

    async def _change(self, person: Person, identity: str, version: int) -> int:
        data = EDUCATION | {"major": f"{uuid4()}"}
        for _ in range(TRIES):
            response = await self._ask(person.change(identity, version, data))
            if response is not None and response.status_code == 200:
                self.log.acknowledged.add((identity, version + 1))
                return version + 1
            if response is not None and response.status_code == 412:  # the attempt before this one succeeded
                return int(response.json()["current"]["version"])
            await asyncio.sleep(PAUSE_SECONDS)
        raise AssertionError("no yes to a change")

    async def _ask(self, call: "asyncio.Future[httpx2.Response] | object") -> Answer:
        self.log.requests += 1
        try:
            response: httpx2.Response = await call  # type: ignore[misc]
        except httpx2.TransportError:
            self.log.failed += 1
            return None
        if response.status_code >= 500:
            self.log.failed += 1
            if response.status_code != 503:
                self.log.unexpected.append(response.text[:200])
        return response
