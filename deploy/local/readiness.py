"""Readiness of servers and processes: each must answer a real request, an open port is not enough."""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import httpx2
from aiokafka.client import AIOKafkaClient
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError
from redis.asyncio import Redis

from deploy.local.environment import kafka_servers, redis_url, roles_of, s3_url
from deploy.local.ports import HOST
from deploy.local.prometheus import watchers
from deploy.local.secrets import Secrets
from deploy.local.stack import Stack
from kit.files import blobs
from kit.settings import BlobSettings

_PAUSE = 0.1
_NOT_YET_INITIATED = 94

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
    inbox = f"http://{HOST}:{stack.ports.sms_carrier}/inbox.json"
    reader = f"http://{HOST}:{stack.ports.card_reader}/"
    return [
        Check("kafka", lambda: kafka_is_ready(stack)),
        Check("mongo", lambda: mongo_is_ready(stack)),
        Check("redis", lambda: redis_is_ready(stack)),
        Check("s3", lambda: s3_is_ready(stack, secrets)),
        Check("sms-carrier", lambda: answers_ok(inbox)),
        Check("card-reader", lambda: answers_ok(reader)),
        Check("gateway", lambda: answers(f"http://{HOST}:{stack.ports.gateway}/")),
    ]


def service_checks(stack: Stack) -> list[Check]:
    return [
        Check(f"{service}-{role}", partial(answers_ok, f"http://{HOST}:{port}/readyz"))
        for service, ports in stack.ports.services.items()
        for role, port in zip(roles_of(service), (ports.internal, ports.worker), strict=False)
    ]


def watcher_checks(stack: Stack) -> list[Check]:
    addresses = {
        "prometheus": f"http://{HOST}:{stack.ports.prometheus}/-/ready",
        "node-exporter": f"http://{HOST}:{stack.ports.node_exporter}/",
        "server-exporter": f"http://{HOST}:{stack.ports.server_exporter}/readyz",
        "redis-exporter": f"http://{HOST}:{stack.ports.redis_exporter}/",
        "blackbox-exporter": f"http://{HOST}:{stack.ports.blackbox_exporter}/",
        "alertmanager": f"http://{HOST}:{stack.ports.alertmanager}/-/ready",
        "alert-sender": f"http://{HOST}:{stack.ports.alert_sender}/readyz",
        "alert-inbox": f"http://{HOST}:{stack.ports.alert_inbox}/",
    }
    return [Check(name, partial(answers_ok, addresses[name])) for name in watchers()]


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


async def kafka_is_ready(stack: Stack) -> bool:
    """Return whether the broker answers with metadata that contain a broker."""
    client = AIOKafkaClient(bootstrap_servers=kafka_servers(stack), request_timeout_ms=2000)
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    finally:
        await client.close()


async def mongo_is_ready(stack: Stack) -> bool:
    """Return whether there is a primary; initiates the one-member replica set where there is none yet."""
    address = f"mongodb://{HOST}:{stack.ports.mongo}/?directConnection=true"
    client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(
        address, serverSelectionTimeoutMS=1000, timeoutMS=3000
    )
    async with client:
        try:
            status = await client.admin.command("replSetGetStatus")
        except OperationFailure as error:
            if error.code == _NOT_YET_INITIATED:
                await _initiate(client, stack)
            return False
        except PyMongoError:
            return False
        return bool(status["myState"] == 1)


async def _initiate(client: AsyncMongoClient[dict[str, object]], stack: Stack) -> None:
    members = [{"_id": 0, "host": f"{HOST}:{stack.ports.mongo}"}]
    await client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})


async def redis_is_ready(stack: Stack) -> bool:
    """Return whether Redis answers; not while it still loads its append-only file."""
    async with Redis.from_url(redis_url(stack), socket_timeout=1) as client:
        return bool(await client.ping())


async def s3_is_ready(stack: Stack, secrets: Secrets) -> bool:
    """Return true after storing an object: the ports are open long before the components are connected."""
    keys = {"access_key": secrets.s3_access_key, "secret_key": secrets.s3_secret_key}
    settings = BlobSettings.model_validate({"endpoint": s3_url(stack), **keys, "bucket": "readiness"})
    async with blobs.connect(settings) as bucket:
        await bucket.prepare()
        await bucket.put("ready", b"yes", "text/plain")
    return True


async def answers(url: str) -> bool:
    async with httpx2.AsyncClient(timeout=2) as client:
        await client.get(url)
    return True


async def answers_ok(url: str) -> bool:
    async with httpx2.AsyncClient(timeout=3) as client:
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
