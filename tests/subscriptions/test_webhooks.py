"""Webhooks at their public API, with a real receiver."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError
from starlette.responses import RedirectResponse, Response, StreamingResponse

from kit.security.tokens import Caller, TokenIssuer
from tests.support import own_services
from tests.support.change_clients import WEBHOOKS, Client
from tests.support.identity_clients import bearer
from tests.support.names import own_id
from tests.support.people import EDUCATION, Person
from tests.support.problems import fields_of, problem
from tests.support.receiver import Event, Receiver, refused, taken
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

DEGREE = {
    "school": "同济大学", "degree": "学士", "degree_name": "工学学士", "major": "土木工程",
    "committee_chair": "李·某", "certificate_no": "1024742008000001", "issued_on": "2008-07-01",
}  # fmt: skip
DAY = timedelta(hours=25)
NewClient = Callable[..., Client]


def sequences(events: list[Event]) -> list[str]:
    return [event["sequence"] for event in events]


async def changed(person: Person, times: int) -> dict[str, Any]:
    """A record of the person's, written so many times."""
    record = await person.created()
    for version in range(1, times):
        await person.change(record["record_id"], version, EDUCATION | {"major": f"专业{version}"})
    return record


async def test_every_change_is_posted_signed_and_in_order(client: Client, person: Person, receiver: Receiver) -> None:
    webhook = await client.registered(receiver.url)
    await changed(person, 5)
    await receiver.until(lambda: len(receiver.events(person.id)) >= 5, "five events")
    assert sequences(receiver.events(person.id)) == ["1", "2", "3", "4", "5"]
    for call in receiver.calls:
        event = Webhook(webhook["secret"]).verify(call.body, call.headers)
        assert call.headers["webhook-id"] == event["id"]
        assert call.headers["content-type"].startswith("application/cloudevents+json")
        with pytest.raises(WebhookVerificationError):
            Webhook(webhook["secret"]).verify(call.body + b" ", call.headers)


async def test_only_the_requested_kinds_are_delivered(client: Client, person: Person, receiver: Receiver) -> None:
    await client.registered(receiver.url, kinds=["degree"])
    await person.created()
    await person.created(DEGREE, kind="degree")
    await receiver.until(lambda: bool(receiver.events(person.id)), "the degree")
    assert [event["data"]["kind"] for event in receiver.events(person.id)] == ["degree"]


async def test_an_empty_description_is_none(client: Client, receiver: Receiver) -> None:
    webhook = await client.registered(receiver.url, description="")
    assert (webhook["kinds"], webhook["description"]) == (None, "")


async def test_a_start_in_the_past_delivers_earlier_events(client: Client, person: Person, receiver: Receiver) -> None:
    cursor = await client.end()
    record = await person.created()
    assert (await client.changes(after=cursor, wait=20)).json()["items"]
    await client.registered(receiver.url, since=record["created_at"])
    await receiver.until(lambda: bool(receiver.events(person.id)), "the record of before")


async def test_the_log_has_each_attempt(client: Client, person: Person, receiver: Receiver) -> None:
    webhook = await client.registered(receiver.url)
    receiver.answer = refused
    await person.created()
    await receiver.until(lambda: len(receiver.calls) >= 2, "it is tried again")
    receiver.answer = taken
    await receiver.until(lambda: bool(receiver.events(person.id)), "it is taken")
    path = f"{WEBHOOKS}/{webhook['webhook_id']}/deliveries"

    async def logged_attempts() -> Any:
        found = (await client.call("GET", path)).json()["items"]
        return [one for one in found if one["practitioner_id"] == person.id][::-1] if found else None

    async def whole() -> Any:
        found = await logged_attempts()
        return found if found and found[-1]["outcome"] == "delivered" else None

    attempts = await eventually(whole, 20, "the log tells of the delivery")
    assert [one["attempt"] for one in attempts] == list(range(1, len(attempts) + 1))
    assert {(one["outcome"], one["status"]) for one in attempts[:-1]} == {("failed", 500)}
    assert attempts[-1]["status"] == 204
    failed = (await client.call("GET", path, params={"outcome": "failed", "limit": 1})).json()
    assert [one["outcome"] for one in failed["items"]] == ["failed"]


async def test_a_test_event_returns_its_outcome(client: Client, receiver: Receiver) -> None:
    webhook = await client.registered(receiver.url)
    path = f"{WEBHOOKS}/{webhook['webhook_id']}/test"
    good = (await client.call("POST", path)).json()
    receiver.answer = refused
    bad = (await client.call("POST", path)).json()
    assert (good["delivered"], good["status"], bad["delivered"], bad["status"]) == (True, 204, False, 500)
    event = Webhook(webhook["secret"]).verify(receiver.calls[0].body, receiver.calls[0].headers)
    assert event["type"] == "subscriptions.webhook.tested.v1"


async def test_a_refused_connection_is_reported(client: Client) -> None:
    webhook = await client.registered("http://127.0.0.1:9/")
    answer = (await client.call("POST", f"{WEBHOOKS}/{webhook['webhook_id']}/test")).json()
    assert (answer["delivered"], answer["status"], answer["error"]) == (False, None, "not connected")


def elsewhere(_event: Event) -> Response:
    return RedirectResponse("http://127.0.0.1:1/internal", 307)


def endless(_event: Event) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.001)
            yield b"x" * 1_000

    return StreamingResponse(pieces())


@pytest.mark.parametrize(("answer", "status", "good"), [(elsewhere, 307, False), (endless, 200, True)])
async def test_redirects_and_bodies_of_a_receiver_are_ignored(
    client: Client, receiver: Receiver, answer: Callable[[Event], Response], status: int, good: bool
) -> None:
    webhook = await client.registered(receiver.url)
    receiver.answer = answer
    result = (await client.call("POST", f"{WEBHOOKS}/{webhook['webhook_id']}/test")).json()
    assert (result["status"], result["delivered"]) == (status, good)
    assert len(receiver.calls) == 1


async def test_a_new_secret_has_a_change_over_time(client: Client, receiver: Receiver) -> None:
    webhook = await client.registered(receiver.url)
    path = f"{WEBHOOKS}/{webhook['webhook_id']}"
    renewed = (await client.call("POST", f"{path}/secret")).json()
    assert renewed["secret"] != webhook["secret"]
    assert "secret" not in await client.webhook(webhook["webhook_id"])
    await client.call("POST", f"{path}/test")
    for secret in (webhook["secret"], renewed["secret"]):
        Webhook(secret).verify(receiver.calls[0].body, receiver.calls[0].headers)


async def test_a_pause_loses_nothing(client: Client, person: Person, receiver: Receiver) -> None:
    webhook = await client.registered(receiver.url)
    path = f"{WEBHOOKS}/{webhook['webhook_id']}"
    await person.created()
    await receiver.until(lambda: len(receiver.events(person.id)) == 1, "the first one")
    assert (await client.call("POST", f"{path}/pause")).json()["reason"] == "owner"
    await person.created()
    assert (await client.call("POST", f"{path}/test")).json()["delivered"]
    assert (await client.call("POST", f"{path}/resume")).json()["state"] == "active"
    await receiver.until(lambda: len(receiver.events(person.id)) >= 2, "what was written meanwhile")


async def test_one_person_is_delivered_again_and_nobody_else(
    client: Client, new_person: Callable[[], Person], receiver: Receiver
) -> None:
    webhook = await client.registered(receiver.url)
    one, other = new_person(), new_person()
    await changed(one, 3)
    await changed(other, 2)
    await receiver.until(lambda: len(receiver.events(one.id)) + len(receiver.events(other.id)) >= 5, "all")
    path = f"{WEBHOOKS}/{webhook['webhook_id']}/replays"
    answer = await client.call("POST", path, json={"practitioner_id": one.id})
    assert answer.status_code == 202, answer.text
    await receiver.until(lambda: len(receiver.events(one.id)) >= 6, "one person again")
    await changed(other, 1)
    await receiver.until(lambda: len(receiver.events(other.id)) >= 3, "it goes on")
    assert sequences(receiver.events(one.id)) == ["1", "2", "3"] * 2
    assert sequences(receiver.events(other.id)) == ["1", "2", "1"]


async def test_everything_from_a_time_on_is_delivered_again(client: Client, person: Person, receiver: Receiver) -> None:
    webhook = await client.registered(receiver.url)
    await changed(person, 3)
    await receiver.until(lambda: len(receiver.events(person.id)) >= 3, "all")
    path = f"{WEBHOOKS}/{webhook['webhook_id']}/replays"
    problem(await client.call("POST", path, json={}), 422, "invalid_fields")
    await client.call("POST", path, json={"since": webhook["created_at"]})
    await receiver.until(lambda: len(receiver.events(person.id)) >= 6, "all again")
    assert sequences(receiver.events(person.id)) == ["1", "2", "3"] * 2


async def test_failing_deliveries_of_one_person_delay_nobody_else(
    client: Client, new_person: Callable[[], Person], receiver: Receiver
) -> None:
    bad, good = new_person(), new_person()
    receiver.answer = lambda event: Response(status_code=422 if event["partitionkey"] == bad.id else 200)
    webhook = await client.registered(receiver.url)
    await changed(bad, 3)
    await changed(good, 3)
    await receiver.until(lambda: len(receiver.events(good.id)) >= 3, "the others'")

    async def waiting() -> bool:
        progress = (await client.webhook(webhook["webhook_id"]))["progress"]
        return bool(progress and progress["people_waiting"] == 1)

    await eventually(waiting, 10, "one person waits")
    receiver.answer = taken
    await receiver.until(lambda: len(receiver.events(bad.id)) >= 3, "theirs at last")
    assert sequences(receiver.events(bad.id)) == ["1", "2", "3"]


async def test_after_a_day_of_failure_it_is_paused_and_keeps_its_position(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch, issuer: TokenIssuer, person: Person, receiver: Receiver
) -> None:
    receiver.answer = refused
    async with own_services.subscriptions(stack, monkeypatch, {}) as own:
        client = Client(own.http, issuer)
        webhook = (await client.registered(receiver.url))["webhook_id"]
        record = await changed(person, 2)
        await eventually(lambda: _failing(client, webhook), 20, "it is failing")
        own.clock.advance(DAY)
        await eventually(lambda: _state(client, webhook, "paused", "failing"), 20, "it is paused")
        receiver.answer = taken
        await person.change(record["record_id"], 2, EDUCATION)
        await asyncio.sleep(1)  # the worker had ended before the pause was stored
        assert not receiver.events()
        await client.call("POST", f"{WEBHOOKS}/{webhook}/resume")
        await receiver.until(lambda: len(receiver.events(person.id)) >= 3, "all after all")
        assert sequences(receiver.events(person.id)) == ["1", "2", "3"]


async def test_after_a_day_only_the_refused_event_is_abandoned(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch, issuer: TokenIssuer, new_person: Callable[[], Person],
    receiver: Receiver,
) -> None:  # fmt: skip
    bad, good = new_person(), new_person()
    hated = {"partitionkey": bad.id, "sequence": "1"}
    receiver.answer = lambda event: Response(status_code=500 if hated.items() <= event.items() else 200)
    async with own_services.subscriptions(stack, monkeypatch, {}) as own:
        client = Client(own.http, issuer)
        webhook = (await client.registered(receiver.url))["webhook_id"]
        await changed(bad, 2)
        await receiver.until(lambda: bool(receiver.calls), "the first try")
        await changed(good, 1)
        await receiver.until(lambda: bool(receiver.events(good.id)), "somebody else's")
        own.clock.advance(DAY)
        await receiver.until(lambda: bool(receiver.events(bad.id)), "the next one of the same person")
        assert sequences(receiver.events(bad.id)) == ["2"]
        found = await eventually(lambda: _abandoned(client, webhook), 10, "the log tells of it")
        assert [(one["practitioner_id"], one["status"]) for one in found] == [(bad.id, 500)]
        assert (await client.webhook(webhook))["state"] == "active"


async def test_a_receiver_that_answers_gone_is_not_called_again(
    client: Client, person: Person, receiver: Receiver
) -> None:
    receiver.answer = lambda _event: Response(status_code=410)
    webhook = (await client.registered(receiver.url))["webhook_id"]
    await person.created()
    await eventually(lambda: _state(client, webhook, "paused", "gone"), 20, "it is paused")


async def _failing(client: Client, webhook: str) -> bool:
    progress = (await client.webhook(webhook))["progress"]
    return bool(progress and progress["failing_since"])


async def _state(client: Client, webhook: str, state: str, reason: str) -> bool:
    found = await client.webhook(webhook)
    return (found["state"], found["reason"]) == (state, reason)


async def _abandoned(client: Client, webhook: str) -> Any:
    answer = await client.call("GET", f"{WEBHOOKS}/{webhook}/deliveries", params={"outcome": "abandoned"})
    return answer.json()["items"]


async def test_webhooks_of_other_clients_are_not_found(
    client: Client, new_client: NewClient, gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> None:
    webhook = (await client.registered("http://127.0.0.1:9/", description="资质系统"))["webhook_id"]
    path, match = f"{WEBHOOKS}/{webhook}", {"If-Match": '"1"'}
    change = {"url": "http://127.0.0.1:9/other"}
    stranger, operator = new_client(), bearer(issuer.issue(Caller(own_id(), "staff", frozenset({"operator"}))))
    calls: list[tuple[str, str, Any]] = [
        ("GET", path, None), ("PUT", path, change), ("DELETE", path, None), ("POST", f"{path}/pause", None),
        ("POST", f"{path}/resume", None), ("POST", f"{path}/secret", None), ("POST", f"{path}/test", None),
        ("POST", f"{path}/replays", {"practitioner_id": own_id()}), ("GET", f"{path}/deliveries", None),
    ]  # fmt: skip
    for method, where, body in calls:
        problem(await stranger.call(method, where, json=body, headers=match), 404, "not_found")
    assert (await stranger.call("GET", WEBHOOKS)).json()["items"] == []
    mine = (await client.call("GET", WEBHOOKS)).json()["items"]
    assert [one["webhook_id"] for one in mine] == [webhook]
    seen = (await gateway.get(path, headers=operator)).json()
    assert (seen["client_id"], seen["description"]) == (client.id, "资质系统")
    paused = (await gateway.post(f"{path}/pause", headers=operator)).json()
    assert (paused["state"], paused["reason"]) == ("paused", "operator")
    problem(await gateway.put(path, headers=operator | match, json=change), 403, "forbidden")


async def test_a_change_names_the_version_it_replaces_and_a_deleted_one_is_gone(client: Client) -> None:
    webhook = await client.registered("http://127.0.0.1:9/")
    path, other = f"{WEBHOOKS}/{webhook['webhook_id']}", {"url": "http://127.0.0.1:9/b", "kinds": ["title"]}
    problem(await client.call("PUT", path, json=other), 428, "precondition_required")
    problem(await client.call("PUT", path, json=other, headers={"If-Match": '"7"'}), 412, "version_conflict")
    answer = (await client.call("PUT", path, json=other, headers={"If-Match": '"1"'})).json()
    assert (answer["url"], answer["kinds"], answer["version"]) == (other["url"], ["title"], 2)
    assert (await client.call("DELETE", path, headers={"If-Match": '"2"'})).status_code == 204
    problem(await client.call("GET", path), 404, "not_found")
    assert (await client.call("GET", WEBHOOKS)).json()["items"] == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "https://10.0.0.1/", "https://169.254.169.254/", "https://[fe80::1]/", "ftp://x.y/",
        "https://user:pw@example.org/", "https://example.org/#x", "https://0.0.0.0/", "https://[::ffff:192.168.0.1]/",
    ],
)  # fmt: skip
async def test_internal_addresses_cannot_be_registered(client: Client, url: str) -> None:
    body = problem(await client.call("POST", WEBHOOKS, json={"url": url}), 422, "invalid_fields", url)
    assert fields_of(body) == {"url": "address_not_allowed"}


async def test_outside_a_developers_machine_loopback_is_refused(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch, issuer: TokenIssuer
) -> None:
    async with own_services.subscriptions(stack, monkeypatch, {"ENVIRONMENT": "staging"}) as own:
        client = Client(own.http, issuer)
        for url in ("http://127.0.0.1:9/", "https://127.0.0.1:9/", "https://localhost/", "https://127.1/"):
            answer = await client.call("POST", WEBHOOKS, json={"url": url})
            assert fields_of(problem(answer, 422, "invalid_fields")) == {"url": "address_not_allowed"}


async def test_webhooks_per_client_are_limited(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch, issuer: TokenIssuer
) -> None:
    async with own_services.subscriptions(stack, monkeypatch, {"WEBHOOKS__PER_CLIENT": "2"}) as own:
        client = Client(own.http, issuer)
        for _ in range(2):
            await client.registered("http://127.0.0.1:9/")
        refusal = await client.call("POST", WEBHOOKS, json={"url": "http://127.0.0.1:9/"})
        problem(refusal, 409, "too_many_webhooks")
