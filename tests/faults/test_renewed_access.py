"""Certificates are renewed and passwords replaced while people write: no event is lost or published twice."""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from deploy.access import kafka, mongo
from deploy.access.authority import Authority
from deploy.access.principals import principals
from deploy.local.access import hosts
from deploy.local.ports import HOST
from deploy.local.stack import Stack
from tests.faults.conftest import Run
from tests.support.processes import leads
from tests.support.stack import RunningStack
from tests.support.topics import admin
from tests.support.waiting import eventually

RENEWED = ("kafka", "mongo", "redis", "records-api", "records-worker")
USED_WITHIN = 60
NEW = "another-password-of-this-test"


async def test_renewed_certificates_are_used_without_losing_an_event(run: Run) -> None:
    ports, folder = ports_of(run), run.stack.ca.parent
    before = {name: await serial(port) for name, port in ports.items()}
    async with run.load(100) as log:
        await asyncio.sleep(1)
        renew(run.stack, folder)
        await reload_servers(run)
        for name, port in ports.items():
            await eventually(lambda name=name, port=port: changed(before[name], port), USED_WITHIN, f"{name}: renewed")  # type: ignore[misc]
        await run.processes.kill("records-worker")  # all its connections are new
        await eventually(lambda: leads(run.stack, run.worker, "records"), 20, "it leads again")
    await run.settled()
    assert log.failed == 0


def ports_of(run: Run) -> dict[str, int]:
    plan = Stack.named(run.stack.facts["name"]).ports
    records = plan.services["records"]
    found = {"kafka": plan.kafka, "mongo": plan.mongo, "redis": plan.redis}
    return found | {"records-api": records.api, "records-worker": records.worker}


def renew(stack: RunningStack, folder: Path) -> None:
    """New certificates of the same authority, as its command makes them when the old ones near their end."""
    authority = Authority.in_folder(folder)
    for name in RENEWED:
        (folder / f"{name}.both.pem").unlink()
        assert authority.issue(name, hosts(stack.plan, name), folder)


async def reload_servers(run: Run) -> None:
    """Makes the servers load renewed certificates (docs/operating.md); our processes notice by themselves."""
    store = str(run.stack.ca.parent / "kafka.both.pem")
    config = {f"listener.name.{name}.ssl.keystore.location": store for name in ("clients", "inside")}
    async with admin(run.stack.kafka) as client:
        await client.alter_configs([ConfigResource(ConfigResourceType.BROKER, "1", configs=config)])
    database: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(run.stack.facts["mongo"])
    async with database:
        await database.admin.command("rotateCertificates", message="renewed")
    async with Redis.from_url(run.stack.redis_url()) as redis:
        await redis.config_set("tls-cert-file", str(run.stack.ca.parent / "redis.pem"))


async def serial(port: int) -> bytes:
    """The certificate of a port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(HOST, port, ssl=context)
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return found


async def changed(before: bytes, port: int) -> bool:
    return await serial(port) != before


async def test_a_replaced_password_takes_over_without_losing_an_event(run: Run, tmp_path: Path) -> None:
    known = run.stack.facts["principals"]
    login = {"KAFKA__PASSWORD": NEW} | with_password(run.stack.environment("records-worker"), known["records-worker"])
    try:
        async with run.load(100) as log:
            await asyncio.sleep(1)
            await set_passwords(run, known | {"records-worker": NEW})
            async with (
                run.processes.standby("records-worker", "rotated", tmp_path / "log", **login) as fresh,
                run.processes.down("records-worker"),
            ):
                await eventually(lambda: leads(run.stack, fresh.url, "records"), 30, "the new process leads")
                await asyncio.sleep(3)
                await set_passwords(run, known)
            await eventually(lambda: leads(run.stack, run.worker, "records"), 30, "the first one leads again")
    finally:
        await set_passwords(run, known)
    await run.settled()
    assert log.failed == 0


def with_password(environment: Mapping[str, str], old: str) -> dict[str, str]:
    return {"MONGO__URL": environment["MONGO__URL"].replace(old, NEW)}


async def set_passwords(run: Run, passwords: Mapping[str, str]) -> None:
    """As `python -m deploy.access apply` does; open connections stay."""
    assert passwords.keys() >= principals().keys()
    await kafka.apply(run.stack.kafka, passwords)
    await mongo.apply(run.stack.mongo, passwords)


async def test_a_revoked_subscriber_locks_nobody_out_at_the_next_start(run: Run) -> None:
    """This name's hash comes first in Kafka's map of users, before which a removed user made it forget all others."""
    await kafka.grant_subscriber(run.stack.kafka, "x3", ["records.changes"])
    assert await kafka.revoke_subscriber(run.stack.kafka, "x3")
    await run.processes.kill("kafka")
    assert not await kafka.revoke_subscriber(run.stack.kafka, "x3"), "the administrator is let in, and nothing is left"
