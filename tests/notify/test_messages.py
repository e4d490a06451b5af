"""Messages: sent once, visible to operators without the code, kept while the carrier is unavailable."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx2
import orjson
from aiokafka import AIOKafkaProducer, ConsumerRecord

from kit.core.clock import SystemClock
from kit.kafka.connections import options
from tests.support.identity_clients import Citizen, LoginPage, Staff, Window
from tests.support.names import own_id
from tests.support.problems import problem
from tests.support.processes import Processes
from tests.support.stack import RunningStack
from tests.support.subscriber import Records, Subscriber
from tests.support.topics import admin
from tests.support.waiting import eventually

MESSAGES = "/api/notify/messages"


async def message_about(operator: Staff, challenge: str, state: str = "delivered") -> dict[str, Any]:
    """The message of this challenge once it is in the state."""

    async def found() -> dict[str, Any] | None:
        page = (await operator.call("GET", MESSAGES, params={"limit": "200"})).raise_for_status().json()
        mine = [item for item in page["items"] if item["about"] == challenge and item["state"] == state]
        return dict(mine[0]) if mine else None

    return await eventually(found, 20, f"the message is {state}", pause=0.2) or {}


async def asked_for(stack: RunningStack, challenge: str) -> ConsumerRecord:
    """The event that requested the code."""

    def there(records: Records) -> bool:
        return any(asks_for(record, challenge) for record in records)

    records = await Subscriber(stack.kafka, "identity.messages").until(there, 20, "the request is published")
    return next(record for record in records if asks_for(record, challenge))


def asks_for(record: ConsumerRecord, challenge: str) -> bool:
    return challenge.encode() in record.value  # another test may have written records that are no events


async def write_again(stack: RunningStack, *records: ConsumerRecord) -> list[tuple[int, int]]:
    """Writes the same records again. Returns their partitions and offsets."""
    producer = AIOKafkaProducer(**options(stack.kafka))
    await producer.start()
    try:
        written = [
            await producer.send_and_wait(
                record.topic, record.value, record.key, partition=record.partition, headers=list(record.headers)
            )
            for record in records
        ]
    finally:
        await producer.stop()
    return [(each.partition, each.offset) for each in written]


async def test_an_operator_follows_a_message_without_its_secret(
    window: Window, login_page: LoginPage, operator: Staff
) -> None:
    citizen = await window.enrolled()
    challenge = await login_page.challenge(citizen)
    code = await login_page.code(citizen.phone)
    message = await message_about(operator, challenge)
    assert message["phone_hint"] == f"{citizen.phone[:3]}****{citizen.phone[-4:]}"
    assert (message["purpose"], message["attempts"], message["reason"]) == ("login_code", 1, None)
    assert message["provider"] == "tencent"
    response = await operator.call("GET", f"{MESSAGES}/{message['message_id']}")
    assert (response.status_code, response.json()) == (200, message)
    for text in (response.text, (await operator.call("GET", MESSAGES)).text):
        assert citizen.phone not in text
        assert f'"{code}"' not in text
        assert "动态密码" not in text


async def test_a_subscriber_sees_the_states_of_a_message(
    stack: RunningStack, window: Window, login_page: LoginPage
) -> None:
    subscriber = Subscriber(stack.kafka, "notify.changes")
    await subscriber.skip()
    citizen = await window.enrolled()
    challenge = await login_page.challenge(citizen)

    def states(records: Records) -> list[str]:
        events = [orjson.loads(record.value) for record in records]
        return [event["state"] for event in events if event["about"] == challenge]

    records = await subscriber.until(lambda found: len(states(found)) == 3, 20, "three states of the message")
    assert states(records) == ["queued", "sent", "delivered"]
    assert citizen.phone not in b"".join(record.value for record in records).decode()


async def test_messages_are_for_operators(window: Window, login_page: LoginPage, operator: Staff) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    for caller in (window.clerk, session):
        problem(await caller.call("GET", MESSAGES), 403, "forbidden")
        problem(await caller.call("GET", f"{MESSAGES}/{own_id()}"), 403, "forbidden")
    problem(await operator.call("GET", f"{MESSAGES}/{own_id()}"), 404, "not_found")


async def test_messages_are_listed_newest_first_page_by_page(
    window: Window, login_page: LoginPage, operator: Staff
) -> None:
    for _ in range(3):
        citizen = await window.enrolled()
        await message_about(operator, await login_page.challenge(citizen))
    query, seen = {"limit": "2", "state": "delivered", "purpose": "login_code"}, list[dict[str, Any]]()
    for _ in range(2):
        page = (await operator.call("GET", MESSAGES, params=query)).json()
        seen += page["items"]
        query["cursor"] = page["next_cursor"] or ""
    assert len({item["message_id"] for item in seen}) == len(seen) >= 3
    made = [datetime.fromisoformat(item["created_at"]) for item in seen]
    assert made == sorted(made, reverse=True)
    assert (await operator.call("GET", MESSAGES, params={"purpose": "other"})).json()["items"] == []
    for bad in ({"state": "lost"}, {"cursor": "nonsense"}, {"limit": "0"}):
        problem(await operator.call("GET", MESSAGES, params=bad), 422, "invalid_fields", "nonsense")


async def test_a_request_handled_twice_is_sent_once(
    stack: RunningStack, window: Window, login_page: LoginPage, operator: Staff
) -> None:
    citizen, witness = await window.enrolled(), await window.enrolled()
    challenge = await login_page.challenge(citizen)
    code = await login_page.code(citizen.phone)
    await message_about(operator, challenge)
    record = await asked_for(stack, challenge)
    other = await asked_for(stack, await login_page.challenge(witness))
    await login_page.code(witness.phone)
    for place in await write_again(stack, record, record, other, record):
        await eventually(lambda place=place: handled(stack, *place), 20, "the repeat is read")  # type: ignore[misc]
    texts = await login_page.messages(citizen.phone)
    assert (len(texts), code in texts[0]) == (1, True)
    assert len(await login_page.messages(witness.phone)) == 1


async def handled(stack: RunningStack, partition: int, offset: int) -> bool:
    """Whether notify has consumed this record."""
    async with admin(stack.kafka) as client:
        done = await client.list_consumer_group_offsets("notify.requests")
    return any(place.partition == partition and position.offset > offset for place, position in done.items())


async def test_a_code_arrives_once_the_carrier_is_available_again(
    window: Window, login_page: LoginPage, operator: Staff, processes: Processes
) -> None:
    citizen = await window.enrolled()
    async with processes.down("sms-carrier"):
        challenge = await login_page.challenge(citizen)

        async def tried() -> bool:
            page = (await operator.call("GET", MESSAGES, params={"state": "queued"})).json()
            return any(item["about"] == challenge and item["attempts"] >= 1 for item in page["items"])

        await eventually(tried, 20, "the operator was tried in vain")
        assert (await login_page.where_is(challenge))["state"] == "requested"
    code = await eventually(lambda: arrived(login_page, citizen), 60, "the code arrived", pause=0.3)
    message = await message_about(operator, challenge)
    assert message["attempts"] >= 2
    assert datetime.fromisoformat(message["updated_at"]) <= datetime.fromisoformat(message["send_before"])
    assert len(await login_page.messages(citizen.phone)) == 1
    assert (await login_page.try_code(challenge, code)).status_code == 201


async def arrived(login_page: LoginPage, citizen: Citizen) -> str:
    """The code, or None while the carrier is starting."""
    try:
        return await login_page.code(citizen.phone, within=0.1) if await login_page.messages(citizen.phone) else ""
    except httpx2.TransportError:
        return ""


async def test_an_expired_code_is_not_sent(
    stack: RunningStack, window: Window, login_page: LoginPage, operator: Staff
) -> None:
    citizen = await window.enrolled()
    record = await asked_for(stack, await login_page.challenge(citizen))
    await login_page.code(citizen.phone)
    late = orjson.loads(record.value) | {
        "send_before": (SystemClock().now() - timedelta(seconds=1)).isoformat(),
        "version": 99,
    }
    headers = [(key, b"99" if key == "ce_sequence" else value) for key, value in record.headers]
    await write_again(stack, _copy(record, orjson.dumps(late), [*headers]))
    message = await message_about(operator, late["challenge_id"], "expired")
    assert (message["reason"], message["attempts"]) == ("too_late", 0)
    assert len(await login_page.messages(citizen.phone)) == 1


def _copy(record: ConsumerRecord, value: bytes, headers: list[tuple[str, bytes]]) -> ConsumerRecord:
    return replace(record, value=value, headers=[(k, v if k != "ce_id" else v + b"-late") for k, v in headers])
