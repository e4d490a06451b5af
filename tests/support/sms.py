"""Both ends of notify: codes requested as identity does, and the simulated carriers with their switches."""

import asyncio
import json
import os
import re
import secrets
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import stamina
from aiokafka import AIOKafkaProducer

from contracts.identity import CODE_CONTEXT, CodeMessage, CodeRequested
from deploy.local.people import random_phone
from kit import mongo
from kit.core.events import NewEvent, encode
from kit.kafka.connections import options
from kit.security.encryption import Cipher
from kit.settings import KeyRing
from tests.support.names import own_id
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

PROVIDERS = ("tencent", "aliyun")
HALF_OPEN = 1
ENDED = {"delivered", "failed", "expired"}
ACCOUNTS: dict[str, dict[str, str]] = {
    "tencent": {
        "secret_id": "AKIDtest", "secret_key": "s3cret", "sdk_app_id": "1400000001", "sign_name": "上海建筑业",
    },
    "aliyun": {"access_key_id": "LTAItest", "access_key_secret": "s3cret", "sign_name": "上海建筑业"},
}  # fmt: skip


@dataclass
class Carriers:
    """The simulated carriers at an address: what they received, and how they behave."""

    url: str

    async def behave(self, provider: str, mode: str = "ok", **more: object) -> None:
        async with httpx2.AsyncClient() as client:
            body = {"provider": provider, "mode": mode, **more}
            (await client.post(f"{self.url}/behaviour", json=body)).raise_for_status()

    async def inbox(self, phone: str | None = None) -> list[dict[str, Any]]:
        async with httpx2.AsyncClient(timeout=10) as client:
            response = await client.get(f"{self.url}/inbox.json", params={"phone": phone} if phone else {})
            return list(response.json())

    async def well(self) -> None:
        """Resets all carriers to normal behaviour."""
        for provider in PROVIDERS:
            await self.behave(provider)

    async def twice(self, out_ids: set[str]) -> list[str]:
        """The ids of messages that were accepted more than once."""
        seen = Counter(message["out_id"] for message in await self.inbox())
        return [out_id for out_id in out_ids if seen[out_id] > 1]


@dataclass
class Codes:
    """Codes requested by events, without people."""

    stack: RunningStack
    asked: dict[str, str] = field(default_factory=dict)
    """Challenge → phone."""

    def event(self, phone: str, lifetime: float = 300, challenge: str = "", code: str = "") -> CodeRequested:
        environment = self.stack.environment("notify-worker")
        ring = KeyRing(keys=json.loads(environment["BUS__KEYS"]), current=environment["BUS__CURRENT"])
        now, identity = datetime.now(UTC), challenge or own_id()
        text = CodeMessage(phone=phone, code=code or f"{secrets.randbelow(10**6):06d}").model_dump_json()
        return CodeRequested(
            practitioner_id=own_id(), version=1, action="requested", changed=[], at=now, challenge_id=identity,
            purpose="login_code", message=Cipher(ring).encrypt(text, f"{CODE_CONTEXT}:{identity}"),
            send_before=now + timedelta(seconds=lifetime),
        )  # fmt: skip

    async def ask(self, count: int = 1, rate: float = 1_000, lifetime: float = 300) -> list[str]:
        """Requests `count` codes at `rate` per second. Returns the challenges."""
        producer = AIOKafkaProducer(**options(self.stack.kafka))
        await producer.start()
        try:
            return [await self._ask_one(producer, lifetime, 1 / rate) for _ in range(count)]
        finally:
            await producer.stop()

    async def _ask_one(self, producer: AIOKafkaProducer, lifetime: float, pause: float) -> str:
        phone = random_phone()
        event = self.event(phone, lifetime)
        self.asked[event.challenge_id] = phone
        partitions = len(await producer.partitions_for(CodeRequested.TOPIC))
        record = encode(NewEvent(CodeRequested, event.model_dump()), "/identity", partitions)
        await producer.send(
            record.topic, record.value, record.key, partition=record.partition, headers=list(record.headers)
        )
        await asyncio.sleep(pause)
        return event.challenge_id

    async def messages(self) -> dict[str, dict[str, Any]]:
        """notify's messages of these codes, by challenge."""
        async with mongo.connect(self.stack.mongo, "notify") as database:
            found = database["messages"].find({"about": {"$in": list(self.asked)}})
            return {str(message["about"]): dict(message) async for message in found}

    async def ended(self, within: float = 60) -> dict[str, dict[str, Any]]:
        """All messages, once each is in its final state."""

        async def found() -> dict[str, dict[str, Any]] | None:
            messages = await self.messages()
            done = len(messages) == len(self.asked) and all(each["state"] in ENDED for each in messages.values())
            return messages if done else None

        try:
            return await eventually(found, within, "every message has ended", pause=0.3) or {}
        except AssertionError:
            print(Counter((each["state"], each["reason"]) for each in (await self.messages()).values()))
            raise


def states(messages: dict[str, dict[str, Any]]) -> Counter[tuple[str, str | None, str | None]]:
    """The number of messages by final state and carrier."""
    return Counter((each["state"], each["reason"], each["provider"]) for each in messages.values())


@contextmanager
def operators_running(data: Path, **receipts_url: str) -> Iterator[str]:
    """Simulated carriers for one test. Yields their host and port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    accounts = {
        f"SMS_OPERATOR_{name.upper()}": json.dumps(account | {"receipts_url": receipts_url.get(name, "")})
        for name, account in ACCOUNTS.items()
    }
    environment = {"SMS_OPERATOR_PORT": str(port), "SMS_OPERATOR_DATA": str(data), **accounts}
    process = subprocess.Popen([sys.executable, "-m", "deploy.local.sms_carrier"], env=os.environ | environment)
    try:
        _wait_for_port(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for_port(port: int) -> None:
    patience = stamina.retry_context(on=OSError, attempts=None, timeout=20, wait_initial=0.05, wait_max=0.2)
    for attempt in patience:
        with attempt, socket.create_connection(("127.0.0.1", port)):
            pass


async def in_use(stack: RunningStack) -> bool:
    """Whether notify sends through the preferred carrier; a half-open breaker is given a message to probe with."""
    state = await operator_state(stack, PROVIDERS[0])
    if state == HALF_OPEN:
        await Codes(stack).ask()
    return state == 0


async def operator_state(stack: RunningStack, provider: str) -> float | None:
    """The breaker of notify's worker: 0 closed, 1 half-open, 2 open; None while the worker does not answer."""
    try:
        async with stack.http(seconds=2) as client:
            text = (await client.get(f"{stack.facts['services']['notify']['worker']}/metrics")).text
    except httpx2.HTTPError:
        return None
    found = re.search(rf'^sms_carrier_state{{provider="{provider}"}} (\S+)', text, re.MULTILINE)
    return float(found[1]) if found else None


@pytest_asyncio.fixture
async def sms_operators(stack: RunningStack) -> AsyncIterator[Carriers]:
    """The stack's simulated carriers, all in use; reset afterwards."""
    operators = Carriers(stack.facts["sms_inbox"])
    await eventually(lambda: in_use(stack), 30, "the preferred operator is in use", pause=0.3)
    yield operators
    await operators.well()


@pytest.fixture
def codes(stack: RunningStack) -> Codes:
    return Codes(stack)
