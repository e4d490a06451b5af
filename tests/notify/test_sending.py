"""Sending: once with one carrier; with the other one if the first has certainly not sent; within the lifetime."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from deploy.local.people import random_phone
from kit.core.clock import SystemClock
from kit.core.errors import Reject
from tests.support.names import own_id
from tests.support.sender import Sending, own_sending
from tests.support.sms import PROVIDERS, Carriers, operators_running
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

QUICK = {
    "BREAKER__OPEN_SECONDS": "1.5", "SENDING__SWEEP_SECONDS": "0.2", "SENDING__GRACE_SECONDS": "0.5",
    "SENDING__LEASE_SECONDS": "2", "TENCENT__ANSWER_SECONDS": "1.5", "RECEIPTS__POLL_SECONDS": "0.5",
}  # fmt: skip


@pytest_asyncio.fixture
async def sending(stack: RunningStack, endpoint: str) -> AsyncIterator[Sending]:
    async with own_sending(stack, dict.fromkeys(PROVIDERS, endpoint), QUICK) as made:
        yield made


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


@pytest.mark.parametrize("mode", ["refuse", "throttle", "money", "configuration"])
async def test_a_message_refused_by_one_carrier_is_sent_by_the_other_at_once(
    mode: str, sending: Sending, operators: Carriers
) -> None:
    await operators.behave("tencent", mode)
    began, phone = time.monotonic(), random_phone()
    message = await sending.reaches(await sending.code(phone), "sent", "delivered")
    assert time.monotonic() - began < 2
    assert (message.provider, message.attempts, message.reason) == ("aliyun", 2, None)
    assert [each["provider"] for each in await operators.inbox(phone)] == ["aliyun"]


@pytest.mark.parametrize(("mode", "reason"), [("configuration", "configuration"), ("money", "money")])
async def test_a_failure_that_needs_an_operator_raises_an_alarm(
    mode: str, reason: str, sending: Sending, operators: Carriers
) -> None:
    before = metric("sms_carrier_errors_total", provider="tencent", reason=reason)
    await operators.behave("tencent", mode)
    await sending.reaches(await sending.code(), "sent", "delivered")
    assert metric("sms_carrier_errors_total", provider="tencent", reason=reason) == before + 1


@pytest.mark.parametrize(("mode", "sent"), [("garbage", 1), ("cut", 1), ("hang", 0)])
async def test_a_code_whose_outcome_is_unknown_is_not_sent_again(
    mode: str, sent: int, sending: Sending, operators: Carriers
) -> None:
    await operators.behave("tencent", mode, receipts="lost")
    phone, challenge = random_phone(), own_id()
    event = sending.codes.event(phone, challenge=challenge)
    await sending.requests.code_requested(event)
    await sending.requests.code_requested(event)
    message = await sending.reaches(challenge, "failed")
    assert (message.reason, message.attempts, message.provider) == ("outcome_unknown", 1, "tencent")
    assert message.variables_sealed is None
    assert message.phone_sealed is not None, "the operator is still to be asked"
    await asyncio.sleep(0.6)
    assert len(await operators.inbox(phone)) == sent


async def test_an_unknown_outcome_is_queried(sending: Sending, operators: Carriers) -> None:
    await operators.behave("tencent", "cut", receipts="lost")
    challenge = await sending.code()
    assert (await sending.reaches(challenge, "failed")).reason == "outcome_unknown"
    await operators.well()
    message = await sending.reaches(challenge, "delivered")
    assert (message.reason, message.phone_sealed, message.due_at) == (None, None, None)


async def test_the_phone_is_removed_after_the_last_query(
    stack: RunningStack, endpoint: str, operators: Carriers
) -> None:
    impatient = QUICK | {"RECEIPTS__GIVE_UP_SECONDS": "1.5"}
    async with own_sending(stack, dict.fromkeys(PROVIDERS, endpoint), impatient) as sending:
        challenge = await sending.code()
        asked = await sending.reaches(challenge, "sent")
        assert asked.phone_sealed is not None
        assert asked.variables_sealed is None
        await operators.behave("tencent", "cut")

        async def forgotten() -> bool:
            return (await sending.about(challenge)).action == "forgotten"

        await eventually(forgotten, 10, "the phone is forgotten")
        message = await sending.about(challenge)
        assert (message.state, message.phone_sealed, message.due_at) == ("sent", None, None)
        actions = [entry.action for entry in message.history]
        assert "asked" in actions


async def test_the_response_time_of_each_carrier_is_measured(sending: Sending, operators: Carriers) -> None:
    names, labels = ("sms_accepted_seconds_count", "sms_delivered_seconds_count"), ("login_code", "aliyun")
    before = [metric(name, purpose=labels[0], provider=labels[1]) for name in names]
    await operators.behave("tencent", "refuse")
    await sending.reaches(await sending.code(), "delivered")
    after = [metric(name, purpose=labels[0], provider=labels[1]) for name in names]
    assert after == [count + 1 for count in before]


async def test_while_a_carrier_hangs_messages_go_to_the_other(sending: Sending, operators: Carriers) -> None:
    await operators.behave("tencent", "hang", seconds=4)
    lost = await sending.code()
    await asyncio.sleep(1.1)  # slow_seconds
    began = time.monotonic()
    message = await sending.reaches(await sending.code(), "sent", "delivered")
    assert time.monotonic() - began < 2
    assert (message.provider, message.attempts) == ("aliyun", 1)
    assert (await sending.reaches(lost, "failed")).reason == "outcome_unknown"


async def test_a_late_response_counts(sending: Sending, operators: Carriers) -> None:
    await operators.behave("tencent", "delay", seconds=1.2)
    message = await sending.reaches(await sending.code(), "sent", "delivered")
    assert (message.provider, message.attempts) == ("tencent", 1)


async def test_the_breaker_closes_automatically_and_a_probe_costs_no_code(
    sending: Sending, operators: Carriers
) -> None:
    await operators.behave("tencent", "garbage", receipts="lost")
    lost = await sending.reaches(await sending.code(), "failed")
    assert lost.reason == "outcome_unknown"
    assert metric("sms_carrier_state", provider="tencent") == 2
    await asyncio.sleep(1.6)
    assert metric("sms_carrier_state", provider="tencent") == 1
    probe = await sending.reaches(await sending.code(), "sent", "delivered")
    assert (probe.provider, probe.attempts) == ("aliyun", 2), "the probe failed, so the other one sent the code"
    await operators.well()
    await asyncio.sleep(1.6)
    healed = await sending.reaches(await sending.code(), "sent", "delivered")
    assert (healed.provider, healed.attempts) == ("tencent", 1)
    assert metric("sms_carrier_state", provider="tencent") == 0


async def test_an_unsendable_code_is_not_queued(sending: Sending) -> None:
    event = sending.codes.event(random_phone(), code="1234567")
    with pytest.raises(Reject):
        await sending.requests.code_requested(event)
    assert (await sending.messages.page(None, None, None, 10))[0] == []


async def test_a_bad_number_fails_for_good(sending: Sending) -> None:
    message = await sending.reaches(await sending.code("12345678901"), "failed")
    assert message.reason == "InvalidParameterValue.IncorrectPhoneNumber"
    assert (message.attempts, message.phone_sealed, message.variables_sealed, message.due_at) == (1, None, None, None)


async def test_a_message_that_no_carrier_accepts_is_retried_until_it_expires(
    sending: Sending, operators: Carriers
) -> None:
    for provider in PROVIDERS:
        await operators.behave(provider, "configuration")
    phone = random_phone()
    message = await sending.reaches(await sending.code(phone, lifetime=4), "expired")
    assert message.reason == "too_late"
    assert message.attempts >= 4
    assert message.updated_at >= message.send_before
    assert (message.phone_sealed, message.variables_sealed) == (None, None)
    await operators.well()
    await asyncio.sleep(0.5)
    assert await operators.inbox(phone) == []


async def test_a_code_is_sent_once_a_carrier_is_available_again(sending: Sending, operators: Carriers) -> None:
    for provider in PROVIDERS:
        await operators.behave(provider, "money")
    phone = random_phone()
    challenge = await sending.code(phone)
    await asyncio.sleep(1)
    assert (await sending.about(challenge)).state == "queued"
    await operators.well()
    await sending.reaches(challenge, "sent", "delivered")
    assert len(await operators.inbox(phone)) == 1


async def test_a_message_of_a_sender_that_crashed_before_its_attempt_is_sent(
    stack: RunningStack, endpoint: str
) -> None:
    async with own_sending(stack, dict.fromkeys(PROVIDERS, endpoint), QUICK, running=False) as sending:
        challenge = await sending.code()
        due = await sending.about(challenge)
        await asyncio.sleep(0.6)
        assert await sending.messages.due(due.due_at or due.created_at, 10) == [due.id]
        await sending.sender.handle(due)
        assert (await sending.about(challenge)).state == "sent"


async def test_a_code_of_a_sender_that_crashed_during_its_attempt_is_not_retried(
    stack: RunningStack, endpoint: str, operators: Carriers
) -> None:
    async with own_sending(stack, dict.fromkeys(PROVIDERS, endpoint), QUICK, running=False) as sending:
        phone = random_phone()
        challenge = await sending.code(phone)
        queued, now = await sending.about(challenge), SystemClock().now()
        begun = queued.attempted("tencent", due_at=now, at=now)
        await sending.messages.replace(begun)
        await sending.sender.handle(begun)
        message = await sending.about(challenge)
        assert (message.state, message.reason) == ("failed", "outcome_unknown")
        assert await operators.inbox(phone) == []


async def test_a_stalled_sender_is_detected(stack: RunningStack, endpoint: str) -> None:
    changes = QUICK | {"SENDING__OVERDUE_SECONDS": "0"}
    async with own_sending(stack, dict.fromkeys(PROVIDERS, endpoint), changes, running=False) as sending:
        await sending.sender.check_overdue()
        await sending.code()
        await asyncio.sleep(0.6)  # the grace period
        with pytest.raises(RuntimeError, match="has been due"):
            await sending.sender.check_overdue()


async def test_of_two_senders_one_sends(stack: RunningStack, endpoint: str, operators: Carriers) -> None:
    async with own_sending(stack, dict.fromkeys(PROVIDERS, endpoint), QUICK, running=False) as sending:
        phone = random_phone()
        message = await sending.about(await sending.code(phone))
        await asyncio.gather(*(sending.sender.handle(message) for _ in range(10)))
        assert len(await operators.inbox(phone)) == 1


async def test_codes_are_sent_while_the_preferred_carrier_is_unavailable(
    stack: RunningStack, endpoint: str, operators: Carriers, tmp_path: Path
) -> None:
    """Each carrier is a process of its own here; one ends during the test."""
    changes = QUICK | {"RECEIPTS__POLL_SECONDS": "60"}  # all stay `sent` until they are counted
    with operators_running(tmp_path) as gone:
        async with AsyncExitStack() as kept:
            sending = await kept.enter_async_context(own_sending(stack, {"tencent": gone, "aliyun": endpoint}, changes))
            before = [await sending.code() for _ in range(20)]
            for challenge in before:
                assert (await sending.reaches(challenge, "sent")).provider == "tencent"
            rest = kept.pop_all()
    async with rest:
        after = [await sending.code() for _ in range(50)]
        ended = [await sending.reaches(challenge, "sent", "failed") for challenge in after]
        print({(each.state, each.provider, each.reason) for each in ended})
        assert {each.state for each in ended} == {"sent"}
        assert {each.provider for each in ended} == {"aliyun"}
        assert max((each.updated_at - each.created_at).total_seconds() for each in ended) < 2
        assert await operators.twice({each.id for each in ended}) == []
