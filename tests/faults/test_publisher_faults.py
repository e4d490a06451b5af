"""The publisher of records is killed, stopped and loses its position while people write."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from kit.kafka.connections import options
from tests.faults.conftest import Run
from tests.support.names import seeded
from tests.support.processes import leads
from tests.support.scale import scaled
from tests.support.waiting import eventually

GROUP = "records.publisher"


async def test_a_healthy_run_violates_no_invariant(run: Run) -> None:
    async with run.load(200):
        await asyncio.sleep(3)
    await run.settled()
    assert run.log.failed == 0


async def test_repeated_kills_of_the_publisher_under_load_lose_and_repeat_nothing(run: Run) -> None:
    random = seeded()
    took: list[float] = []
    async with run.load(200) as log:
        for _ in range(scaled(10, 3)):
            await asyncio.sleep(random.uniform(0.5, 1.5))
            await run.processes.kill("records-worker")
            began = time.monotonic()
            await eventually(lambda: leads(run.stack, run.worker, "records"), 20, "it leads again")
            took.append(time.monotonic() - began)
    print("back after", *(f"{seconds:.1f}" for seconds in took))
    await run.settled()
    assert log.failed == 0  # no request waits for the publisher


async def test_a_paused_leader_is_replaced_and_steps_down_when_it_resumes(run: Run, tmp_path: Path) -> None:
    took: list[float] = []
    async with run.processes.standby("records-worker", "standby", tmp_path / "standby.log") as standby:
        by_url = {run.worker: await run.processes.pid("records-worker"), standby.url: standby.pid}
        async with run.load(100):
            for _ in range(scaled(3, 1)):
                leader = await eventually(lambda: leader_of(run, list(by_url)), 20, "one of them leads")
                (other,) = by_url.keys() - {leader}
                os.kill(by_url[leader], signal.SIGSTOP)
                began = time.monotonic()
                try:
                    await eventually(lambda url=other: leads(run.stack, url, "records"), 12, "the standby leads")  # type: ignore[misc]
                    took.append(time.monotonic() - began)
                    await asyncio.sleep(max(0.0, 8 - (time.monotonic() - began)))
                finally:
                    os.kill(by_url[leader], signal.SIGCONT)
                await eventually(lambda: leader_of(run, list(by_url)), 15, "one of them leads, the other one waits")
        await run.settled()
        await eventually(lambda: lasting_leader(run, list(by_url)), 60, "one leads and they stop taking turns")
    print("taken over after", *(f"{seconds:.1f}" for seconds in took))


async def leader_of(run: Run, urls: list[str]) -> str:
    leading = [url for url in urls if await leads(run.stack, url, "records")]
    return leading[0] if len(leading) == 1 else ""


async def lasting_leader(run: Run, urls: list[str]) -> bool:
    led_by = {await leader_after(run, 0.3, urls) for _ in range(10)}
    return len(led_by) == 1 and "" not in led_by


async def leader_after(run: Run, pause: float, urls: list[str]) -> str:
    await asyncio.sleep(pause)
    return await leader_of(run, urls)


@pytest.mark.all_data
async def test_a_lost_position_leads_to_a_snapshot(run: Run) -> None:
    async with run.load(100):
        for text in ("", "not a position", '{"token": {"_data": "8200000001000000012B0229296E04"}}'):
            await asyncio.sleep(1)
            await eventually(lambda text=text: overwritten(run, text), 30, "the position is overwritten")  # type: ignore[misc]
            await run.processes.kill("records-worker")
            await eventually(lambda: leads(run.stack, run.worker, "records"), 20, "it leads again")
    await run.settled(snapshots=True)


async def overwritten(run: Run, text: str) -> bool:
    """Overwrites the position with the publisher's transactional id: it is fenced, and restarts from here."""
    producer = AIOKafkaProducer(**options(run.stack.kafka), transactional_id=f"{GROUP}.0")
    await producer.start()
    try:
        async with producer.transaction():
            position = {TopicPartition(GROUP, 0): OffsetAndMetadata(1, text)}
            await producer.send_offsets_to_transaction(position, GROUP)
    except ProducerFenced:
        return False
    finally:
        await producer.stop()
    return True
