"""Carriers fail, and notify's worker is killed, while codes are requested."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.support.processes import Processes
from tests.support.scale import scaled
from tests.support.sms import Carriers, Codes, in_use, operator_state, states
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

RATE = 25
BEFORE, ILL, AFTER = scaled(100, 25), scaled(200, 55), scaled(200, 20)
MANY = BEFORE + ILL + AFTER
KILLS = scaled(5, 2)
AT_ONCE = 32  # calls in progress when the carrier stops responding


def seconds_to_accepted(messages: dict[str, dict[str, Any]]) -> list[float]:
    """Seconds from the request to a carrier's acceptance, of accepted messages."""
    return sorted(
        (entry["at"] - message["created_at"]).total_seconds()
        for message in messages.values()
        for entry in message["history"]
        if entry["action"] == "sent"
    )


async def nothing_twice(operators: Carriers, messages: dict[str, dict[str, Any]], codes: Codes) -> None:
    """Checks for duplicates by message id and by phone: one code was requested for each."""
    assert await operators.twice({message["_id"] for message in messages.values()}) == []
    phones = Counter(message["phone"] for message in await operators.inbox())
    assert [phone for phone in codes.asked.values() if phones[phone] > 1] == []


def report(what: str, messages: dict[str, dict[str, Any]]) -> list[float]:
    took = seconds_to_accepted(messages)  # none where the receipt came before the response
    times = f"p50 {took[len(took) // 2]:.2f} s, longest {took[-1]:.2f} s" if took else "none was accepted first"
    print(f"{what}: {dict(states(messages))}; {times}")
    return took


@pytest.mark.parametrize("mode", ["refuse", "throttle", "hang", "garbage"])
async def test_no_code_is_lost_or_sent_twice_while_a_carrier_fails(
    mode: str, stack: RunningStack, codes: Codes, sms_operators: Carriers
) -> None:
    """Receipts are not called back, so that states come from queries only."""
    await codes.ask(BEFORE, rate=RATE)
    await sms_operators.behave("tencent", mode, seconds=4, receipts="lost")
    await codes.ask(ILL, rate=RATE)
    await sms_operators.well()
    await codes.ask(AFTER, rate=RATE)
    messages = await codes.ended()
    took = report(mode, messages)
    assert len(took) + sum(message["reason"] == "outcome_unknown" for message in messages.values()) >= MANY - AT_ONCE
    assert sum(message["state"] == "delivered" for message in messages.values()) >= MANY - 2 * AT_ONCE
    assert any(message["provider"] == "aliyun" for message in messages.values())
    await nothing_twice(sms_operators, messages, codes)
    await eventually(lambda: in_use(stack), 30, "the breaker has closed by itself", pause=0.3)


async def test_no_code_is_lost_or_sent_twice_when_carriers_are_killed(
    processes: Processes, codes: Codes, sms_operators: Carriers
) -> None:
    asking = asyncio.create_task(codes.ask(MANY, rate=RATE))
    for _ in range(2):
        await asyncio.sleep(2)
        await processes.kill("sms-carrier")
    await asking
    messages = await codes.ended(90)
    report("killed", messages)
    assert {message["state"] for message in messages.values()} <= {"delivered", "failed"}
    assert {message["reason"] for message in messages.values()} <= {None, "outcome_unknown"}
    await nothing_twice(sms_operators, messages, codes)


async def test_killing_notifys_worker_sends_no_code_twice(
    stack: RunningStack, processes: Processes, codes: Codes, sms_operators: Carriers
) -> None:
    """Carriers take half a second each, so that the worker is killed with calls in progress."""
    for provider in ("tencent", "aliyun"):
        await sms_operators.behave(provider, "delay", seconds=0.5)
    asking = asyncio.create_task(codes.ask(KILLS * 40, rate=10))
    for _ in range(KILLS):
        await asyncio.sleep(2.5)
        await processes.kill("notify-worker")
        await eventually(lambda: answering(stack), 30, "the worker is back", pause=0.2)
    await asking
    messages = await codes.ended(90)
    report("worker killed", messages)
    assert len(messages) == KILLS * 40, "no request is lost"
    assert {message["reason"] for message in messages.values()} <= {None, "outcome_unknown"}
    await nothing_twice(sms_operators, messages, codes)


async def answering(stack: RunningStack) -> bool:
    return await operator_state(stack, "tencent") is not None


async def test_a_stopping_worker_waits_for_calls_in_progress(
    processes: Processes, codes: Codes, sms_operators: Carriers
) -> None:
    """A deployment loses no code. Receipts are not called back, so only the responses count."""
    for provider in ("tencent", "aliyun"):
        await sms_operators.behave(provider, "delay", seconds=0.8, receipts="lost")
    asking = asyncio.create_task(codes.ask(60, rate=20))
    await asyncio.sleep(1.5)
    async with processes.down("notify-worker"):
        stopped = (await codes.messages()).values()
        assert not any(message["sending"] for message in stopped)
    await asking
    messages = await codes.ended()
    report("worker stopped", messages)
    assert {(message["state"], message["reason"]) for message in messages.values()} == {("delivered", None)}
    await nothing_twice(sms_operators, messages, codes)
