"""Alerts that are provoked on the real stack, and end again: promtool's series are only what we expect of metrics."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.stack import ROOT
from kit import kafka
from kit.kafka import dead_letters
from kit.kafka.connections import options
from kit.kafka.topics import read_file
from tests.support.alerting import Inbox
from tests.support.people import Person
from tests.support.prometheus import Prometheus
from tests.support.scale import LONG
from tests.support.sms import Carriers, Codes
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

only_long = pytest.mark.skipif(not LONG, reason="takes minutes: make test-long")
REACHED = "firing" if LONG else "pending"  # an alert that waits a minute before it fires

CHANGES = "records.changes"
DISK_BYTES = 16 * 1024 * 1024


async def test_dead_letters_raise_an_alert_until_they_are_dropped(stack: RunningStack, prometheus: Prometheus) -> None:
    group = "identity.access"
    await send_garbage(stack, "records.messages")
    fires = partial(prometheus.alert, "DeadLetters", group=group)
    await eventually(fires, 40, "the alert fires", pause=0.5)
    for each in (group, "identity.audit"):  # which reads the same topic
        await drop_all(stack, each)
    await eventually(lambda: gone(fires), 40, "the alert ends with the last dead letter", pause=0.5)


async def test_an_alert_arrives_with_its_runbook_and_so_does_its_end(stack: RunningStack) -> None:
    """With the rules and routes of production; only the scrape interval is shorter (3 s instead of 15 s)."""
    if stack.facts["alert_inbox"] is None:
        pytest.skip("prometheus-alertmanager is not installed here")
    inbox, group, began = Inbox(stack.facts["alert_inbox"]), "notify.requests", time.monotonic()
    await send_garbage(stack, "identity.messages")
    for channel in ("wecom", "dingtalk", "mail"):
        arrived = partial(inbox.notices, f"dead letters of {group}", "docs/runbooks/DeadLetters.md", to=channel)
        await eventually(arrived, 90 - (time.monotonic() - began), f"it arrives by {channel}", pause=0.5)
    print(f"arrived within {time.monotonic() - began:.0f} s")
    for each in (group, "identity.audit"):  # which reads the same topic
        await drop_all(stack, each)

    async def ended() -> bool:
        newest = (await inbox.notices("DeadLetters", to="wecom"))[-1]
        return "已恢复" in newest["title"] or group not in newest["text"]

    await eventually(ended, 120, "its end arrives", pause=0.5)
    assert await eventually(inbox.heartbeats, 90, "a heartbeat", pause=0.5)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk")
async def test_a_disk_that_is_almost_full_raises_an_alert(
    stack: RunningStack, prometheus: Prometheus, tmp_path: Path
) -> None:
    """The disk is a tmpfs of its own, so that nothing else is affected."""
    if stack.facts["node_exporter"] is None:
        pytest.skip("prometheus-node-exporter is not installed here")
    fires = partial(prometheus.alert, "DiskAlmostFull", REACHED, mountpoint=str(tmp_path))
    with small_disk(tmp_path):
        (tmp_path / "half").write_bytes(b"x" * (DISK_BYTES // 2))
        await eventually(lambda: sampled(prometheus, tmp_path), 40, "Prometheus has samples of the disk", pause=0.5)
        assert not await fires()
        (tmp_path / "rest").write_bytes(b"x" * (DISK_BYTES * 45 // 100))
        await eventually(fires, 120, "the alert fires", pause=0.5)
        (tmp_path / "rest").unlink()
        await eventually(lambda: gone(fires), 40, "the alert ends when there is space", pause=0.5)


@only_long
async def test_a_stalled_publisher_raises_an_alert(
    stack: RunningStack, prometheus: Prometheus, new_person: Callable[[], Person]
) -> None:
    """Kafka accepts no event from it: the topic's size limit is below every event."""
    fires = partial(prometheus.alert, "PublisherStalled", service="records")
    async with rejecting(stack, CHANGES):
        assert (await new_person().create()).status_code == 201
        await eventually(fires, 180, "the alert fires", pause=1)
    await eventually(lambda: gone(fires), 180, "the alert ends when the change is published", pause=1)


@only_long
async def test_a_carrier_that_is_down_raises_an_alert_for_it_alone(
    prometheus: Prometheus, sms_operators: Carriers, codes: Codes
) -> None:
    fires = partial(prometheus.alert, "SmsCarrierDown", provider="tencent")
    async with requesting(codes):
        await sms_operators.behave("tencent", "cut")
        await eventually(fires, 180, "the alert fires", pause=1)
        assert not await prometheus.alert("SmsCarrierDown", provider="aliyun")
        assert not await prometheus.alert("NoSmsCarrier")
        await sms_operators.well()
        await eventually(lambda: gone(fires), 120, "the alert ends when the carrier works", pause=1)


async def send_garbage(stack: RunningStack, topic: str) -> None:
    """Every group of the topic dead-letters it."""
    producer = AIOKafkaProducer(**options(stack.kafka))
    await producer.start()
    await producer.send_and_wait(topic, b"no event at all", key=b"watching")
    await producer.stop()


async def drop_all(stack: RunningStack, group: str) -> None:
    """Drop every dead letter of the group."""
    settings = stack.kafka_settings()
    await dead_letters.drop(settings, group, list(await dead_letters.dead_letters(settings, group)), "test")


async def gone(fires: Callable[[], Awaitable[bool]]) -> bool:
    return not await fires()


async def sampled(prometheus: Prometheus, disk: Path) -> bool:
    return bool(await prometheus.ask(f'node_filesystem_avail_bytes{{mountpoint="{disk}"}}'))


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@asynccontextmanager
async def rejecting(stack: RunningStack, name: str) -> AsyncIterator[None]:
    """The topic accepts no Kafka record while the block runs."""
    config = next(topic.config for topic in read_file(ROOT / "deploy" / "topics.yaml") if topic.name == name)
    async with kafka.admin(stack.kafka_settings()) as admin:
        await admin.configure(name, config | {"max.message.bytes": "100"})
        try:
            yield
        finally:
            await admin.configure(name, config)


@asynccontextmanager
async def requesting(codes: Codes) -> AsyncIterator[None]:
    """A code is requested every second while the block runs."""

    async def request() -> None:
        while True:
            await codes.ask()
            await asyncio.sleep(1)

    task = asyncio.create_task(request())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
