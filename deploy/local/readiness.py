"""Readiness of servers and processes: each must answer a real request, an open port is not enough."""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx2

from deploy.local import access
from deploy.local.environment import internals_of
from deploy.local.ports import HOST
from deploy.local.prometheus import watchers
from deploy.local.secrets import Secrets
from deploy.local.stack import Stack
from kit import kafka, mongo
from kit.files import blobs
from kit.redis import RedisServer
from kit.runtime import tls
from kit.settings import MongoSettings, RedisSettings

_PAUSE = 0.1

# A client logs an error for each attempt without a broker: expected while the broker starts.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Check:
    """`probe` returns whether the program `name` is ready; an error means not yet."""

    name: str
    probe: Callable[[], Awaitable[bool]]


class NotReady(Exception):
    """Programs that were not ready in time."""

    def __init__(self, names: list[str], seconds: float) -> None:
        super().__init__(f"not ready after {seconds:.0f} s: {', '.join(names)}")
        self.names = names


def server_checks(stack: Stack, secrets: Secrets) -> list[Check]:
    inbox = f"http://{stack.host('sms-carrier')}:{stack.ports.sms_carrier}/inbox.json"
    reader = f"http://{stack.host('card-reader')}:{stack.ports.card_reader}/"
    return [
        Check("kafka", lambda: kafka_is_ready(stack, secrets)),
        Check("mongo", lambda: mongo_is_ready(stack, secrets)),
        Check("redis", lambda: redis_is_ready(stack, secrets)),
        Check("s3", lambda: s3_is_ready(stack, secrets)),
        Check("sms-carrier", lambda: answers_ok(inbox)),
        Check("card-reader", lambda: answers_ok(reader)),
        Check("gateway", lambda: answers(f"{stack.gateway}/")),
    ]


def service_checks(stack: Stack) -> list[Check]:
    return [
        Check(name, partial(answers_ok, f"{url}/readyz", access.ca(stack))) for name, url in internals_of(stack).items()
    ]


def watcher_checks(stack: Stack) -> list[Check]:
    addresses = {
        "prometheus": f"http://{HOST}:{stack.ports.prometheus}/-/ready",
        "node-exporter": f"http://{HOST}:{stack.ports.node_exporter}/",
        "server-exporter": f"https://{HOST}:{stack.ports.server_exporter}/readyz",
        "redis-exporter": f"https://{HOST}:{stack.ports.redis_exporter}/",
        "blackbox-exporter": f"http://{HOST}:{stack.ports.blackbox_exporter}/",
        "alertmanager": f"http://{HOST}:{stack.ports.alertmanager}/-/ready",
        "alert-sender": f"http://{HOST}:{stack.ports.alert_sender}/readyz",
        "alert-inbox": f"http://{HOST}:{stack.ports.alert_inbox}/",
    }
    return [Check(name, partial(answers_ok, addresses[name], access.ca(stack))) for name in watchers(stack)]


async def wait_for(checks: list[Check], seconds: float, on_ready: Callable[[str], None]) -> None:
    """Wait for all probes concurrently. Raises `NotReady` with the names of those that did not succeed in time."""
    late: list[str] = []

    async def wait(check: Check) -> None:
        deadline = time.monotonic() + seconds
        while not await is_confirmed(check):
            if time.monotonic() > deadline:
                late.append(check.name)
                return
            await asyncio.sleep(_PAUSE)
        on_ready(check.name)

    await asyncio.gather(*(wait(check) for check in checks))
    if late:
        raise NotReady(sorted(late), seconds)


async def is_confirmed(check: Check) -> bool:
    try:
        async with asyncio.timeout(5):
            return await check.probe()
    except Exception:  # clients raise many kinds of errors while their server is unavailable
        return False


async def kafka_is_ready(stack: Stack, secrets: Secrets) -> bool:
    """Return whether the broker lets the super user in."""
    await kafka.ping(access.kafka_settings(stack, secrets))
    return True


async def mongo_is_ready(stack: Stack, secrets: Secrets) -> bool:
    """Return whether there is a primary that lets the super user in."""
    own = {"ca": access.ca(stack), "timeout_ms": 2000}
    settings = MongoSettings.model_validate({"url": access.mongo_url(stack, secrets), **own})
    async with mongo.connect(settings, "readiness") as database:
        await mongo.ping(database)
    return True


async def redis_is_ready(stack: Stack, secrets: Secrets) -> bool:
    """Return whether Redis answers; not while it still loads its append-only file."""
    known = {"url": access.redis_url(stack, secrets), "ca": access.ca(stack), "timeout_seconds": 3}
    settings = RedisSettings.model_validate(known)
    async with RedisServer(settings, "readiness") as server:
        await server.cache.ping()
    return True


async def s3_is_ready(stack: Stack, secrets: Secrets) -> bool:
    """Return true after storing an object: the ports are open long before the components are connected."""
    async with blobs.connect(access.blob_settings(stack, secrets, "readiness")) as bucket:
        await bucket.prepare()
        await bucket.put("ready", b"yes", "text/plain")
    return True


async def answers(url: str) -> bool:
    async with httpx2.AsyncClient(timeout=2) as client:
        await client.get(url)
    return True


async def answers_ok(url: str, ca: Path | None = None) -> bool:
    async with httpx2.AsyncClient(timeout=3, verify=tls.client_context(ca)) as client:
        return (await client.get(url)).status_code == 200


def port_is_taken(port: int) -> bool:
    """Return whether a program listens on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False
