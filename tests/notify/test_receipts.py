"""What became of a message: told by the operator at a door that only operators know, or asked for."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kit import mongo
from tests.notify.test_messages import message_about
from tests.support.identity_clients import Staff
from tests.support.names import own_id
from tests.support.problems import problem
from tests.support.processes import Processes
from tests.support.sms import PROVIDERS, Carriers, Codes
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

by_provider = pytest.mark.parametrize("provider", PROVIDERS)


def token(stack: RunningStack, provider: str) -> str:
    return stack.environment("notify-api")[f"{provider.upper()}__RECEIPTS_TOKEN"]


def receipt(provider: str, message: dict[str, Any], delivered: bool) -> dict[str, Any]:
    """As the operator calls it back, naming the message by the operator's own id only."""
    if provider == "tencent":
        return {
            "user_receive_time": "2026-11-24 08:03:04", "nationcode": "86", "mobile": "13800000000",
            "report_status": "SUCCESS" if delivered else "FAIL", "errmsg": "DELIVRD" if delivered else "MK:0012",
            "description": "用户短信送达成功", "sid": message["receipt"],
        }  # fmt: skip
    return {
        "phone_number": "13800000000", "send_time": "2026-11-24 08:03:04", "report_time": "2026-11-24 08:03:05",
        "success": delivered, "err_code": "DELIVERED" if delivered else "MK:0012", "err_msg": "用户接收成功",
        "sms_size": "1", "biz_id": message["receipt"], "out_id": "",
    }  # fmt: skip


async def call_back(
    gateway: httpx2.AsyncClient, provider: str, secret: str, *receipts: dict[str, Any]
) -> httpx2.Response:
    path = f"/api/notify/receipts/{provider}"
    return await gateway.post(path, params={"token": secret}, json=list(receipts))


async def stored(stack: RunningStack, message_id: str) -> dict[str, Any]:
    async with mongo.connect(stack.mongo, "notify") as database:
        return dict(await database["messages"].find_one({"_id": message_id}) or {})


@pytest.fixture
async def sent(stack: RunningStack, codes: Codes, sms_operators: Carriers, provider: str) -> dict[str, Any]:
    """A message that this operator has, and of which it says nothing."""
    if provider == "aliyun":
        await sms_operators.behave("tencent", "refuse")
    await sms_operators.behave(provider, receipts="lost")
    await codes.ask()

    async def there() -> dict[str, Any] | None:
        return next((each for each in (await codes.messages()).values() if each["state"] == "sent"), None)

    message = await eventually(there, 20, "the message is sent")
    assert message is not None
    assert message["provider"] == provider
    return message


@by_provider
async def test_a_receipt_that_is_called_back_ends_the_message(
    provider: str, sent: dict[str, Any], stack: RunningStack, gateway: httpx2.AsyncClient
) -> None:
    secret = token(stack, provider)
    answer = await call_back(gateway, provider, secret, receipt(provider, sent, delivered=True))
    said = {"tencent": {"result": 0, "errmsg": "OK"}, "aliyun": {"code": 0, "msg": "接收成功"}}
    assert (answer.status_code, answer.json()) == (200, said[provider])
    after = await stored(stack, sent["_id"])
    assert (after["state"], after["phone_sealed"], after["due_at"]) == ("delivered", None, None)
    for delivered in (True, False):
        again = await call_back(gateway, provider, secret, receipt(provider, sent, delivered))
        assert again.status_code == 200
    assert await stored(stack, sent["_id"]) == after


@by_provider
async def test_a_bad_receipt_fails_the_message_with_the_operators_word(
    provider: str, sent: dict[str, Any], stack: RunningStack, gateway: httpx2.AsyncClient
) -> None:
    await call_back(gateway, provider, token(stack, provider), receipt(provider, sent, delivered=False))
    after = await stored(stack, sent["_id"])
    assert (after["state"], after["reason"], after["phone_sealed"]) == ("failed", "MK:0012", None)


@by_provider
async def test_who_does_not_know_the_secret_changes_nothing(
    provider: str, sent: dict[str, Any], stack: RunningStack, gateway: httpx2.AsyncClient
) -> None:
    other = {"tencent": "aliyun", "aliyun": "tencent"}[provider]
    body = receipt(provider, sent, delivered=False)
    for secret in ("", "wrong", token(stack, other), "动"):
        problem(await call_back(gateway, provider, secret, body), 401, "unauthorized")
    problem(await gateway.post(f"/api/notify/receipts/{provider}", json=[body]), 401, "unauthorized")
    after = await stored(stack, sent["_id"])
    assert (after["state"], after["reason"]) != ("failed", "MK:0012")


@by_provider
async def test_a_receipt_about_nothing_of_ours_is_taken_and_forgotten(
    provider: str, stack: RunningStack, gateway: httpx2.AsyncClient
) -> None:
    unknown = receipt(provider, {"receipt": own_id()}, delivered=True)
    assert (await call_back(gateway, provider, token(stack, provider), unknown)).status_code == 200
    problem(await call_back(gateway, provider, token(stack, provider), {"x": 1}), 422, "invalid_fields")


async def test_there_is_no_door_for_an_operator_that_is_not_in_use(gateway: httpx2.AsyncClient) -> None:
    problem(await call_back(gateway, "nobody", "x"), 404, "not_found")


@by_provider
async def test_a_receipt_that_is_lost_is_asked_for(
    provider: str, sent: dict[str, Any], stack: RunningStack, operator: Staff
) -> None:
    message = await message_about(operator, sent["about"])
    assert message["message_id"] == sent["_id"]
    after = await stored(stack, sent["_id"])
    assert (after["phone_sealed"], after["due_at"]) == (None, None)


async def test_a_message_that_did_not_arrive_is_told_as_failed(
    codes: Codes, sms_operators: Carriers, operator: Staff
) -> None:
    await sms_operators.behave("tencent", receipts="fail")
    [challenge] = await codes.ask()
    assert (await message_about(operator, challenge, "failed"))["reason"] == "MK:0001"


async def test_a_code_that_may_have_been_sent_is_known_as_delivered_once_its_receipt_comes(
    codes: Codes, sms_operators: Carriers, operator: Staff
) -> None:
    await sms_operators.behave("tencent", "garbage")
    [challenge] = await codes.ask()
    message = await message_about(operator, challenge, "delivered")
    assert (message["attempts"], message["reason"]) == (1, None)
    [phone] = codes.asked.values()
    assert len(await sms_operators.inbox(phone)) == 1


async def test_two_secrets_are_valid_while_one_is_replaced(
    stack: RunningStack, processes: Processes, tmp_path: Path
) -> None:
    current, former = "c" * 40, token(stack, "tencent")
    unknown = receipt("tencent", {"receipt": own_id()}, delivered=True)
    log = tmp_path / "notify-api.log"
    settings = {"TENCENT__RECEIPTS_TOKEN": json.dumps([current, former])}
    async with (
        processes.standby("notify-api", "rotated", log, **settings) as rotated,
        httpx2.AsyncClient(base_url=rotated.api) as http,
    ):
        for secret in (current, former, current):
            assert (await call_back(http, "tencent", secret, unknown)).status_code == 200
        problem(await call_back(http, "tencent", "w" * 40, unknown), 401, "unauthorized")
        told = (await http.get(f"{rotated.url}/metrics")).text
    assert 'sms_receipts_total{provider="tencent",secret="current"} 2.0' in told
    assert 'sms_receipts_total{provider="tencent",secret="former"} 1.0' in told


@by_provider
async def test_the_secret_may_come_as_a_password_and_then_the_address_holds_none(
    provider: str, stack: RunningStack, gateway: httpx2.AsyncClient
) -> None:
    path, body = f"/api/notify/receipts/{provider}", [receipt(provider, {"receipt": own_id()}, delivered=True)]
    for user in ("receipts", ""):
        assert (await gateway.post(path, json=body, auth=(user, token(stack, provider)))).status_code == 200
    problem(await gateway.post(path, json=body, auth=("receipts", "wrong")), 401, "unauthorized")
    for header in ("Basic", "Basic %", f"Bearer {token(stack, provider)}"):
        problem(await gateway.post(path, json=body, headers={"Authorization": header}), 401, "unauthorized")


async def test_where_the_operators_networks_are_said_nobody_else_calls(
    stack: RunningStack, processes: Processes, tmp_path: Path
) -> None:
    unknown = [receipt("tencent", {"receipt": own_id()}, delivered=True)]
    path, secret = "/api/notify/receipts/tencent", {"token": token(stack, "tencent")}
    networks = {"TENCENT__RECEIPTS_FROM": '["192.0.2.0/24", "2001:db8::/32"]'}
    async with (
        processes.standby("notify-api", "walled", tmp_path / "notify-api.log", **networks) as walled,
        httpx2.AsyncClient(base_url=walled.api) as http,
    ):
        for address, status in {
            "192.0.2.7": 200, "::ffff:192.0.2.7": 200, "2001:db8::7": 200, "198.51.100.7": 403, "garbage": 403,
        }.items():  # fmt: skip
            seen = {"X-Forwarded-For": address}  # as the gateway writes it
            assert (await http.post(path, params=secret, json=unknown, headers=seen)).status_code == status, address
        problem(await http.post(path, params=secret, json=unknown), 403, "forbidden")
        anywhere = receipt("aliyun", {"receipt": own_id()}, delivered=True)
        assert (await call_back(http, "aliyun", token(stack, "aliyun"), anywhere)).status_code == 200
