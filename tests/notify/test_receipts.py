"""Delivery receipts: called back by the carrier at an endpoint protected by a secret, or queried."""

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
    """A receipt as the carrier calls it back, with the carrier's own message id only."""
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
    """A message that this carrier has accepted and sends no receipt for."""
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
async def test_a_failure_receipt_fails_the_message_with_the_carriers_code(
    provider: str, sent: dict[str, Any], stack: RunningStack, gateway: httpx2.AsyncClient
) -> None:
    await call_back(gateway, provider, token(stack, provider), receipt(provider, sent, delivered=False))
    after = await stored(stack, sent["_id"])
    assert (after["state"], after["reason"], after["phone_sealed"]) == ("failed", "MK:0012", None)


@by_provider
async def test_a_receipt_without_the_secret_changes_nothing(
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
async def test_a_receipt_for_an_unknown_message_is_accepted_and_ignored(
    provider: str, stack: RunningStack, gateway: httpx2.AsyncClient
) -> None:
    unknown = receipt(provider, {"receipt": own_id()}, delivered=True)
    assert (await call_back(gateway, provider, token(stack, provider), unknown)).status_code == 200
    problem(await call_back(gateway, provider, token(stack, provider), {"x": 1}), 422, "invalid_fields")


async def test_an_unused_carrier_has_no_receipt_endpoint(gateway: httpx2.AsyncClient) -> None:
    problem(await call_back(gateway, "nobody", "x"), 404, "not_found")


@by_provider
async def test_a_lost_receipt_is_queried(
    provider: str, sent: dict[str, Any], stack: RunningStack, operator: Staff
) -> None:
    message = await message_about(operator, sent["about"])
    assert message["message_id"] == sent["_id"]
    after = await stored(stack, sent["_id"])
    assert (after["phone_sealed"], after["due_at"]) == (None, None)


async def test_an_undelivered_message_becomes_failed(codes: Codes, sms_operators: Carriers, operator: Staff) -> None:
    await sms_operators.behave("tencent", receipts="fail")
    [challenge] = await codes.ask()
    assert (await message_about(operator, challenge, "failed"))["reason"] == "MK:0001"


async def test_a_code_with_unknown_outcome_becomes_delivered_by_its_receipt(
    codes: Codes, sms_operators: Carriers, operator: Staff
) -> None:
    await sms_operators.behave("tencent", "garbage")
    [challenge] = await codes.ask()
    message = await message_about(operator, challenge, "delivered")
    assert (message["attempts"], message["reason"]) == (1, None)
    [phone] = codes.asked.values()
    assert len(await sms_operators.inbox(phone)) == 1


async def test_two_secrets_are_valid_during_a_replacement(
    stack: RunningStack, processes: Processes, tmp_path: Path
) -> None:
    current, former = "c" * 40, token(stack, "tencent")
    unknown = receipt("tencent", {"receipt": own_id()}, delivered=True)
    log = tmp_path / "notify-api.log"
    settings = {"TENCENT__RECEIPTS_TOKEN": json.dumps([current, former])}
    async with (
        processes.standby("notify-api", "rotated", log, **settings) as rotated,
        stack.http(rotated.api) as http,
    ):
        for secret in (current, former, current):
            assert (await call_back(http, "tencent", secret, unknown)).status_code == 200
        problem(await call_back(http, "tencent", "w" * 40, unknown), 401, "unauthorized")
        metrics = (await http.get(f"{rotated.url}/metrics")).text
    assert 'sms_receipts_total{provider="tencent",secret="current"} 2.0' in metrics
    assert 'sms_receipts_total{provider="tencent",secret="former"} 1.0' in metrics


@by_provider
async def test_the_secret_can_be_sent_as_a_password_instead_of_in_the_url(
    provider: str, stack: RunningStack, gateway: httpx2.AsyncClient
) -> None:
    path, body = f"/api/notify/receipts/{provider}", [receipt(provider, {"receipt": own_id()}, delivered=True)]
    for user in ("receipts", ""):
        assert (await gateway.post(path, json=body, auth=(user, token(stack, provider)))).status_code == 200
    problem(await gateway.post(path, json=body, auth=("receipts", "wrong")), 401, "unauthorized")
    for header in ("Basic", "Basic %", f"Bearer {token(stack, provider)}"):
        problem(await gateway.post(path, json=body, headers={"Authorization": header}), 401, "unauthorized")


async def test_with_configured_networks_other_addresses_are_refused(
    stack: RunningStack, processes: Processes, tmp_path: Path
) -> None:
    unknown = [receipt("tencent", {"receipt": own_id()}, delivered=True)]
    path, secret = "/api/notify/receipts/tencent", {"token": token(stack, "tencent")}
    networks = {"TENCENT__RECEIPTS_FROM": '["192.0.2.0/24", "2001:db8::/32"]'}
    async with (
        processes.standby("notify-api", "walled", tmp_path / "notify-api.log", **networks) as walled,
        stack.http(walled.api) as http,
    ):
        for address, status in {
            "192.0.2.7": 200, "::ffff:192.0.2.7": 200, "2001:db8::7": 200, "198.51.100.7": 403, "garbage": 403,
        }.items():  # fmt: skip
            seen = {"X-Forwarded-For": address}  # as the gateway sets it
            assert (await http.post(path, params=secret, json=unknown, headers=seen)).status_code == status, address
        problem(await http.post(path, params=secret, json=unknown), 403, "forbidden")
        anywhere = receipt("aliyun", {"receipt": own_id()}, delivered=True)
        assert (await call_back(http, "aliyun", token(stack, "aliyun"), anywhere)).status_code == 200
