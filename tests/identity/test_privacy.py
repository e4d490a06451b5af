"""What identifies a person stands nowhere in plain: not in a database, not in Redis, not in a topic, not in a log."""

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
from redis.asyncio import Redis

from kit import mongo
from tests.support.stack import RunningStack
from tests.support.subscriber import Records, Subscriber, headers_of, version_of
from tests.support.visits import Citizen, LoginPage, Window
from tests.support.waiting import eventually

SERVICES = ("identity", "notify", "records")
TOPICS = ("identity.changes", "identity.messages", "notify.changes", "records.changes")


async def stored(stack: RunningStack, service: str) -> AsyncIterator[tuple[str, str]]:
    """Every document of a service's database, raw: its collection and its text."""
    async with mongo.connect(stack.mongo, service) as database:
        for name in await database.list_collection_names():
            async for document in database[name].find({}):
                yield f"{service}.{name}", orjson.dumps(document, default=str).decode()


async def told(stack: RunningStack, topic: str) -> AsyncIterator[str]:
    """Every record of a topic with its key and headers."""
    for record in await Subscriber(stack.kafka, topic).read():
        yield f"{record.key!r} {record.headers!r} {(record.value or b'').decode()}"


async def used_code(window: Window, login_page: LoginPage) -> tuple[Citizen, str]:
    """Somebody who has left a trace everywhere: registered, logged in, and with one more code on the way."""
    citizen = await window.enrolled()
    await login_page.logged_in(citizen)
    await login_page.forget_limits(citizen)
    await login_page.challenge(citizen)
    code = await login_page.code(citizen.phone, count=2)
    await window.read_card(citizen, name="占位·诺敏")
    return citizen, code


async def test_databases_and_topics_hold_nothing_in_plain(
    stack: RunningStack, window: Window, login_page: LoginPage
) -> None:
    citizen, code = await used_code(window, login_page)
    names = (*citizen.secrets, citizen.number[:17])

    async def notified() -> bool:
        return citizen.id in "".join([text async for text in told(stack, "notify.changes")])

    await eventually(notified, 20, "the sent message is told")
    traces = [one for service in SERVICES async for one in stored(stack, service)]
    traces += [(topic, text) for topic in TOPICS async for text in told(stack, topic)]
    assert not [place for place, text in traces if any(secret in text for secret in names)]
    own = [(place, text) for place, text in traces if citizen.id in text]
    assert {"identity.practitioners", "identity.challenges", "notify.messages", *TOPICS[:3]} <= {
        place for place, _ in own
    }
    assert not [place for place, text in own if f'"{code}"' in text]


async def test_logs_and_redis_hold_nothing_in_plain(
    stack: RunningStack, window: Window, login_page: LoginPage, redis: "Redis"
) -> None:
    citizen, code = await used_code(window, login_page)
    logs = [path.read_text(errors="replace") for path in (Path(stack.facts["data"]) / "logs").glob("*.log*")]
    strings = [key async for key in redis.scan_iter("*") if await redis.type(key) == "string"]
    texts = [*logs, *strings, *[str(await redis.get(key)) for key in strings]]
    assert len(logs) > 10
    assert strings
    for secret in (*citizen.secrets, citizen.number[:17], f'"{code}"'):
        assert not any(secret in text for text in texts)


async def test_a_person_is_told_of_without_what_identifies_them(stack: RunningStack, window: Window) -> None:
    subscriber = Subscriber(stack.kafka, "identity.changes")
    await subscriber.skip()
    citizen = await window.enrolled()
    await window.read_card(citizen, name="占位·诺敏", address="上海市静安区新址路2号")
    await window.revoke(citizen)

    def whole(records: Records) -> bool:
        of_person = [orjson.loads(found.value) for found in records]
        mine = [event for event in of_person if event["practitioner_id"] == citizen.id]
        return len(mine) == 4

    records = [
        found
        for found in await subscriber.until(whole, 20, "two versions of the person and two of the certificate")
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
