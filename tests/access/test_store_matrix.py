"""Every principal tries every database, key prefix and bucket: what the plan doesn't grant is refused."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from io import BytesIO
from typing import Any

import pytest_asyncio
from minio import Minio
from minio.error import S3Error
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError
from urllib3 import PoolManager

from contracts.sessions import ENDED_SESSIONS
from deploy.access.principals import SERVICES, WITH_BUCKET, Principal
from tests.access.conftest import refused
from tests.support.names import own_name
from tests.support.stack import RunningStack

DATABASES = (*SERVICES, "admin", "config", "local")
UNAUTHORIZED, AUTHENTICATION_FAILED = 13, 18
DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}


def as_principal(url: str, principal: Principal, password: str) -> str:
    """The super user's URL with another login."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{principal.name}:{password}@{rest.partition('@')[2]}"


@pytest_asyncio.fixture
async def mongo(stack: RunningStack, principal: Principal, password: str) -> AsyncIterator[AsyncMongoClient[Any]]:
    client: AsyncMongoClient[Any] = AsyncMongoClient(as_principal(stack.facts["mongo"], principal, password))
    async with client:
        yield client


async def denied(call: Awaitable[object]) -> bool:
    """Whether MongoDB refuses the user, or what it asks."""
    try:
        await call
    except OperationFailure as error:
        if error.code not in (UNAUTHORIZED, AUTHENTICATION_FAILED):
            raise
        return True
    return False


async def test_only_the_granted_databases_can_be_used(mongo: AsyncMongoClient[Any], principal: Principal) -> None:
    if not (principal.mongo or principal.cluster):
        assert await denied(mongo["admin"].command("ping")), "it has no user"
        return
    mine = {grant.database for grant in principal.mongo if not grant.collection}
    tried, opened = [], []
    for name in set(DATABASES) - mine:
        collection = mongo[name][own_name("tried")]
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "find": collection.find_one, "insert": partial(collection.insert_one, {"_id": 1}),
            "list": mongo[name].list_collection_names, "drop": collection.drop,
        }  # fmt: skip
        for action, call in calls.items():
            tried.append(f"{action} {name}")
            opened += [] if await denied(call()) else [f"{action} {name}"]
    refused(principal.name, "calls of MongoDB", tried, opened)
    for name in mine:
        assert not await denied(mongo[name]["none"].find_one())
        assert await denied(mongo[name]["none"].drop()), "nobody may drop a collection"


def redis_calls(redis: Redis, service: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    return {
        f"get {service}:": lambda: redis.get(f"{service}:tried"),
        f"set {service}:": lambda: redis.set(f"{service}:tried", "x", ex=1),
        f"script {service}:": lambda: redis.eval("return redis.call('GET',KEYS[1])", 1, f"{service}:tried"),
    }


async def allowed(call: Callable[[], Awaitable[Any]]) -> bool:
    """Whether Redis lets the user in, and do it."""
    try:
        await call()
    except (NoPermissionError, AuthenticationError):
        return False
    except ResponseError as error:
        if "can't run this command" in str(error) or "NOPERM" in str(error) or "WRONGPASS" in str(error):
            return False
        raise
    return True


async def test_only_the_granted_keys_and_commands_can_be_used(
    stack: RunningStack, principal: Principal, password: str
) -> None:
    mine = {service for service in SERVICES for grant in principal.redis if grant.pattern == f"{service}:*"}
    async with Redis.from_url(as_principal(stack.redis_url(), principal, password)) as redis:
        others = [redis_calls(redis, service) for service in SERVICES if service not in mine]
        calls = {name: call for each in others for name, call in each.items()}
        calls |= {
            "keys": lambda: redis.keys("*"), "scan": redis.scan, "flush": redis.flushdb, "config": redis.config_get,
            "users": redis.acl_list, "stop": lambda: redis.execute_command("SHUTDOWN", "ABORT"),  # type: ignore[no-untyped-call]
        }  # fmt: skip
        if "identity" not in mine:
            calls["append"] = lambda: redis.xadd(ENDED_SESSIONS, {"tried": "x"})
        opened = [name for name, call in calls.items() if await allowed(call)]
        refused(principal.name, "calls of Redis", calls, opened)
        for service in mine:
            for name, call in redis_calls(redis, service).items():
                assert await allowed(call), name


def bucket_calls(client: Minio, bucket: str, key: str) -> dict[str, Callable[[], object]]:
    return {
        f"read {bucket}": lambda: client.get_object(bucket, key).read(),
        f"write {bucket}": lambda: client.put_object(bucket, key, BytesIO(b"x"), 1),
        f"list {bucket}": lambda: [*client.list_objects(bucket)],
        f"delete {bucket}": lambda: client.remove_object(bucket, key),
        f"look {bucket}": lambda: client.stat_object(bucket, key),
    }


def given(call: Callable[[], object]) -> bool:
    """Whether S3 does it."""
    try:
        call()
    except S3Error as error:
        if error.code == "NoSuchKey":
            return True
        if error.code not in DENIED:
            raise
        return False
    return True


def test_only_the_granted_buckets_can_be_used(stack: RunningStack, principal: Principal, password: str) -> None:
    endpoint = stack.facts["s3"]["endpoint"].removeprefix("https://")
    pool = PoolManager(ca_certs=str(stack.ca), retries=False)
    client = Minio(
        endpoint=endpoint, access_key=principal.name, secret_key=password, http_client=pool, region="us-east-1"
    )
    own, key = {grant.bucket: grant for grant in principal.buckets}, own_name("tried")
    tried, opened = list[str](), list[str]()
    for bucket in WITH_BUCKET:
        may = {"read", "look"} if "Read" in (own[bucket].actions if bucket in own else ()) else set()
        may |= {"list"} if bucket in own else set()
        may |= {"write", "delete"} if bucket in own and "Write" in own[bucket].actions else set()
        for name, call in bucket_calls(client, bucket, key).items():
            if name.partition(" ")[0] in may:
                assert given(call), name
            else:
                tried.append(name)
                opened += [name] if given(call) else []
    tried.append("make a bucket")
    opened += ["make a bucket"] if given(lambda: client.make_bucket(own_name("bucket"))) else []
    refused(principal.name, "calls of S3", tried, opened)
