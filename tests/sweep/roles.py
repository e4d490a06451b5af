"""Which instance has a role just now: MongoDB's primary, Kafka's coordinators and leaders, the leading publisher."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx2
from redis.asyncio import Redis

from deploy.local.environment import internals_of
from deploy.local.layout import Instance
from kit import mongo
from tests.support.stack import RunningStack
from tests.support.topics import admin

PUBLISHER, TOPIC = "records.publisher", "records.changes"
GROUP, TRANSACTION = 0, 1
Find = Callable[[RunningStack], Awaitable[Instance | None]]


async def primary(stack: RunningStack) -> Instance | None:
    """MongoDB's primary."""
    async with mongo.connect(stack.mongo, "roles") as database:
        host = str((await database.command("hello"))["primary"]).partition(":")[0]
    return _at(stack, "mongo", host)


async def group_coordinator(stack: RunningStack) -> Instance | None:
    """The broker that coordinates the publishers' group."""
    return await _coordinator(stack, PUBLISHER, GROUP)


async def transaction_coordinator(stack: RunningStack) -> Instance | None:
    """The broker that coordinates the publisher's transactions."""
    return await _coordinator(stack, f"{PUBLISHER}.0", TRANSACTION)


async def leading_publisher(stack: RunningStack) -> Instance | None:
    """The worker of records that publishes."""
    internals = internals_of(stack.plan)
    for instance in stack.plan.layout.of("records-worker"):
        if await _leads(stack, internals[instance.name]):
            return instance
    return None


async def redis_master(stack: RunningStack) -> Instance | None:
    """The Redis that the balancer leads to: the one that is none of that one's replicas."""
    async with Redis.from_url(stack.redis_url()) as client:
        found = await client.info("replication")
    replicas = {value["ip"] for name, value in found.items() if re.fullmatch(r"slave\d+", name)}
    return next((each for each in stack.plan.layout.of("redis") if each.host not in replicas), None)


async def replicas_are_in_sync(stack: RunningStack) -> bool:
    """Whether every replica of the topics that a publisher needs has all that its leader has."""
    async with admin(stack.kafka) as client:
        topics = await client.describe_topics([TOPIC, "__transaction_state", "__consumer_offsets"])
    return all(set(each["isr"]) == set(each["replicas"]) for topic in topics for each in topic["partitions"])


async def holder(stack: RunningStack, find: Find) -> Instance | None:
    """The instance with a role, None while nothing says so: each client has errors of its own during a failover."""
    with suppress(Exception):
        async with asyncio.timeout(5):
            return await find(stack)
    return None


ROLES: dict[str, Find] = {
    "primary": primary,
    "group coordinator": group_coordinator,
    "transaction coordinator": transaction_coordinator,
    "leading publisher": leading_publisher,
}


async def _coordinator(stack: RunningStack, name: str, kind: int) -> Instance | None:
    async with admin(stack.kafka) as client:
        number = await client.find_coordinator(name, kind)
    return next((each for each in stack.plan.layout.of("kafka") if each.number == number), None)


async def _leads(stack: RunningStack, url: str) -> bool:
    try:
        async with stack.http(seconds=2) as client:
            text = (await client.get(f"{url}/metrics")).text
    except httpx2.HTTPError:
        return False
    return re.search(r'^publisher_leads\{service="records"\} 1', text, re.MULTILINE) is not None


def _at(stack: RunningStack, kind: str, host: str) -> Instance | None:
    return next((each for each in stack.plan.layout.of(kind) if each.host == host), None)
