"""Alerts that must not depend on anybody's idea of the metrics: provoked on the real stack, and gone again."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.stack import ROOT
from kit import kafka
from kit.kafka import dead_letters
from kit.kafka.topics import read_file
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


async def test_dead_letters_are_told_until_somebody_ends_them(stack: RunningStack, prometheus: Prometheus) -> None:
    group, settings = "identity.access", stack.kafka_settings()
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka)
    await producer.start()
    await producer.send_and_wait("records.messages", b"no event at all", key=b"watching")
    await producer.stop()
    told = partial(prometheus.alert, "DeadLetters", group=group)
    await eventually(told, 40, "the alert fires", pause=0.5)
    await dead_letters.drop(settings, group, list(await dead_letters.dead_letters(settings, group)))
    await eventually(lambda: gone(told), 40, "it ends with the last letter", pause=0.5)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk")
async def test_a_disk_that_is_nearly_full_is_told(stack: RunningStack, prometheus: Prometheus, tmp_path: Path) -> None:
    """The disk is a real one, of memory: beside the stack's own, so that nothing else suffers."""
    if stack.facts["node_exporter"] is None:
        pytest.skip("prometheus-node-exporter is not installed here")
    told = partial(prometheus.alert, "DiskAlmostFull", REACHED, mountpoint=str(tmp_path))
    with small_disk(tmp_path):
        (tmp_path / "half").write_bytes(b"x" * (DISK_BYTES // 2))
        await eventually(lambda: seen(prometheus, tmp_path), 40, "the disk is seen", pause=0.5)
        assert not await told()
        (tmp_path / "rest").write_bytes(b"x" * (DISK_BYTES * 45 // 100))
        await eventually(told, 120, "the alert", pause=0.5)
        (tmp_path / "rest").unlink()
        await eventually(lambda: gone(told), 40, "it ends when there is room", pause=0.5)


@only_long
async def test_a_publisher_that_stands_still_is_told(
    stack: RunningStack, prometheus: Prometheus, new_person: Callable[[], Person]
) -> None:
    """Kafka takes nothing from it any more: the topic's limit is below every event."""
    told = partial(prometheus.alert, "PublisherStalled", service="records")
    async with closed(stack, CHANGES):
        assert (await new_person().create()).status_code == 201
        await eventually(told, 180, "the alert fires", pause=1)
    await eventually(lambda: gone(told), 180, "it ends when the change is told", pause=1)


@only_long
async def test_an_sms_operator_that_is_down_is_told_and_the_other_one_is_not(
    prometheus: Prometheus, sms_operators: Carriers, codes: Codes
) -> None:
    told = partial(prometheus.alert, "SmsCarrierDown", provider="tencent")
    async with asking(codes):
        await sms_operators.behave("tencent", "cut")
        await eventually(told, 180, "the alert fires", pause=1)
        assert not await prometheus.alert("SmsCarrierDown", provider="aliyun")
        assert not await prometheus.alert("NoSmsCarrier")
        await sms_operators.well()
        await eventually(lambda: gone(told), 120, "it ends when the operator is well", pause=1)


async def gone(told: Callable[[], Awaitable[bool]]) -> bool:
    return not await told()


async def seen(prometheus: Prometheus, disk: Path) -> bool:
    return bool(await prometheus.ask(f'node_filesystem_avail_bytes{{mountpoint="{disk}"}}'))


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@asynccontextmanager
async def closed(stack: RunningStack, name: str) -> AsyncIterator[None]:
    """The topic takes no record for as long as the block runs."""
    usual = next(topic.config for topic in read_file(ROOT / "deploy" / "topics.yaml") if topic.name == name)
    async with kafka.admin(stack.kafka_settings()) as admin:
        await admin.configure(name, usual | {"max.message.bytes": "100"})
        try:
            yield
        finally:
            await admin.configure(name, usual)


@asynccontextmanager
async def asking(codes: Codes) -> AsyncIterator[None]:
    """Somebody asks for a code every second."""

    async def ask() -> None:
        while True:
            await codes.ask()
            await asyncio.sleep(1)

    task = asyncio.create_task(ask())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
