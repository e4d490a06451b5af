"""Identifying data is nowhere in plain text: not in databases, Redis, topics or logs."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from minio import Minio
from redis.asyncio import Redis
from urllib3 import PoolManager

from kit import mongo
from tests.support.identity_clients import WINDOW, LoginPage, Window, crowd
from tests.support.scale import scaled
from tests.support.stack import RunningStack
from tests.support.subscriber import Records, Subscriber, headers_of, version_of
from tests.support.waiting import eventually

PEOPLE = scaled(200, 24)
SERVICES = ("attachments", "identity", "notify", "records", "signature")
TOPICS = (
    "identity.changes", "identity.messages", "notify.changes", "records.changes", "records.messages",
    "attachments.changes", "attachments.messages", "signature.changes", "signature.messages",
)  # fmt: skip


async def stored(stack: RunningStack, service: str) -> AsyncIterator[tuple[str, str]]:
    """Every document of a service's database, raw: its collection and its text."""
    async with mongo.connect(stack.mongo, service) as database:
        for name in await database.list_collection_names():
            async for document in database[name].find({}):
                yield f"{service}.{name}", orjson.dumps(document, default=str).decode()


async def records_of(stack: RunningStack, topic: str) -> AsyncIterator[str]:
    """Every record of a topic with its key and headers."""
    for record in await Subscriber(stack.kafka, topic).read():
        yield f"{record.key!r} {record.headers!r} {(record.value or b'').decode()}"


async def in_redis(redis: "Redis") -> AsyncIterator[tuple[str, str]]:
    """Every key, and every value that is a text. The answers of captchas are no personal data."""
    async for key in redis.scan_iter("*"):
        yield "a key in Redis", key
        if await redis.type(key) == "string":
            yield f"the value of {key}", str(await redis.get(key))


async def in_metrics(stack: RunningStack) -> AsyncIterator[tuple[str, str]]:
    async with stack.http() as http:
        for service in SERVICES:
            for role in ("internal", "worker"):
                address = f"{stack.facts['services'][service][role]}/metrics"
                yield address, (await http.get(address)).raise_for_status().text


def in_bucket(stack: RunningStack) -> list[tuple[str, str]]:
    s3 = stack.facts["s3"]
    client = Minio(
        endpoint=s3["endpoint"].removeprefix("https://"), access_key=s3["access_key"], secret_key=s3["secret_key"],
        http_client=PoolManager(ca_certs=str(stack.ca)),
    )  # fmt: skip
    return [
        (f"a key in the bucket {bucket.name}", str(found.object_name))
        for bucket in client.list_buckets()
        for found in client.list_objects(bucket.name, recursive=True)
    ]


async def everywhere(stack: RunningStack, redis: "Redis") -> list[tuple[str, str]]:
    """Everything that the system stores and publishes, as (place, text)."""
    texts = [one for service in SERVICES async for one in stored(stack, service)]
    texts += [(topic, text) for topic in TOPICS async for text in records_of(stack, topic)]
    logs = list((Path(stack.facts["data"]) / "logs").glob("*.log*"))
    assert len(logs) > 10
    texts += [(path.name, path.read_text(errors="replace")) for path in logs]
    texts += [one async for one in in_redis(redis)]
    texts += [one async for one in in_metrics(stack)]
    return texts + await asyncio.to_thread(in_bucket, stack)


@pytest.mark.all_data
async def test_identifying_data_is_nowhere_in_plain_text(
    stack: RunningStack, window: Window, login_page: LoginPage, redis: "Redis"
) -> None:
    visits = await crowd(window, login_page, PEOPLE)
    for citizen, challenge, code in visits[
        : PEOPLE // 4
    ]:  # some logged in, some requested again, some were read by staff
        assert (await login_page.try_code(challenge, code)).status_code == 201
        await window.read_card(citizen, name="占位·诺敏")
        await window.clerk.call("GET", f"{WINDOW}/{citizen.id}", headers={"X-Access-Reason": "check"})
    last = visits[-1][0]

    async def notified() -> bool:
        return last.id in "".join([text async for text in records_of(stack, "notify.changes")])

    await eventually(notified, 60, "the last message is published")
    planted = [secret for citizen, _, code in visits for secret in (*citizen.secrets, citizen.number[:17], f'"{code}"')]
    marks = re.compile("|".join(map(re.escape, planted)))
    assert marks.search((await login_page.http.get(f"{login_page.inbox}/inbox.json")).text), "where it has to stand"
    texts = await everywhere(stack, redis)
    assert not [place for place, text in texts if marks.search(text)]
    own = {place for place, text in texts if last.id in text or visits[0][0].id in text}
    assert {"identity.practitioners", "identity.challenges", "notify.messages", *TOPICS[:3]} <= own


async def test_events_of_a_person_have_no_identifying_data(stack: RunningStack, window: Window) -> None:
    subscriber = Subscriber(stack.kafka, "identity.changes")
    await subscriber.skip()
    citizen = await window.enrolled()
    await window.read_card(citizen, name="占位·诺敏", address="上海市静安区新址路2号")
    await window.revoke(citizen)

    def complete(records: Records) -> bool:
        of_person = [orjson.loads(found.value) for found in records]
        mine = [event for event in of_person if event["practitioner_id"] == citizen.id]
        return len(mine) == 4

    records = [
        found
        for found in await subscriber.until(complete, 20, "two versions of the person and two of the certificate")
        if orjson.loads(found.value)["practitioner_id"] == citizen.id
    ]
    events = [(headers_of(found)["ce_type"], version_of(found)[1], orjson.loads(found.value)) for found in records]
    assert len({found.partition for found in records}) == 1
    people = [event for kind, _, event in events if kind == "identity.practitioner.changed.v1"]
    certificates = [event for kind, _, event in events if kind == "identity.certificate.changed.v1"]
    assert [event["action"] for event in people] == ["registered", "read_again"]
    assert people[0] | {
        "name": citizen.card["name"], "sex": citizen.card["sex"], "document_type": "resident_id",
        "birth_year": int(citizen.card["birth_date"][:4]), "version": 1,
    } == people[0]  # fmt: skip
    assert set(people[1]["changed"]) == {"name", "address"}
    assert [event["state"] for event in certificates] == ["active", "revoked"]
    assert certificates[0]["contact"]
    assert certificates[1]["contact"] is None
    text = b"".join(found.value for found in records).decode()
    assert not [secret for secret in citizen.secrets if secret in text]
