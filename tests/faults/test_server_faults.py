"""Kafka, MongoDB and the API itself are killed while people write."""

import asyncio
import itertools
import time

import httpx2

from kit import kafka, mongo
from kit.core.errors import Unavailable
from kit.kafka import KafkaError
from services.portal.operations.process_status import read_status
from tests.faults.conftest import Run
from tests.support.people import EDUCATION, Person
from tests.support.processes import leads
from tests.support.scale import scaled
from tests.support.things import Things, running
from tests.support.waiting import eventually

KEYS = scaled(200, 100)


async def test_repeated_kills_of_kafka_under_load_lose_nothing_and_fail_no_request(run: Run) -> None:
    async with run.load(100) as log:
        for _ in range(scaled(5, 2)):
            await run.processes.kill("kafka")
            await asyncio.sleep(0.5)
            await run.processes.kafka_ready()
            await asyncio.sleep(1)
    began = time.monotonic()
    await run.settled()
    await eventually(lambda: leads(run.stack, run.worker, "records"), 30, "the publisher leads")
    print(f"all well {time.monotonic() - began:.1f} s after the last start")
    assert log.success >= 0.999


async def test_a_starting_broker_never_reports_a_missing_position(run: Run, things: Things) -> None:
    """That would cost a snapshot of the whole database."""
    async with running(things.publisher):
        await eventually(things.tails, 20, "the publisher tails the stream")
        await things.write(3)
        await things.seen(3)
    async with kafka.admin(things.settings) as before:
        stored = await before.position(things.group)
    assert stored[0] == 3
    for _ in range(scaled(3, 1)):
        await run.processes.kill("kafka")
        answers = [await eventually(lambda: position(things), 120, "the broker answers", pause=0)]
        answers += [answer for answer in [await position(things) for _ in range(50)] if answer]
        assert set(answers) == {stored}
    async with kafka.admin(things.settings) as after:
        assert await after.position(f"{things.group}.of-nobody") == (0, "")


async def position(things: Things) -> tuple[int, str] | None:
    try:
        async with kafka.admin(things.settings) as admin:
            return await admin.position(things.group)
    except (Unavailable, KafkaError, TimeoutError):
        return None


async def test_a_kill_of_mongodb_under_load_loses_no_acknowledged_write(run: Run) -> None:
    took: list[float] = []
    async with run.load(100) as log:
        for _ in range(2):
            await asyncio.sleep(2)
            await run.processes.kill("mongo")
            began = time.monotonic()
            await asyncio.sleep(0.2)  # writes acknowledged just before the kill have arrived
            await eventually(lambda: writes_again(run), 30, "writes are accepted again", pause=0.2)
            took.append(time.monotonic() - began)
    print("writes again after", *(f"{seconds:.1f}" for seconds in took))
    await run.settled()
    assert max(took) <= 15
    assert log.success >= 0.5


async def writes_again(run: Run) -> bool:
    known = len(run.log.acknowledged)
    await asyncio.sleep(0.3)
    return len(run.log.acknowledged) > known


async def test_without_mongodb_records_answers_503_and_recovers(run: Run) -> None:
    person = run.people[0]
    record = await person.created()
    async with run.processes.down("mongo"):
        began = time.monotonic()
        refused, unread = await asyncio.gather(person.create(), person.get(record["record_id"]))
        assert time.monotonic() - began < 12
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert refused.headers["Retry-After"]
        assert unread.status_code == 503
    assert await eventually(lambda: has(run, record["record_id"]), 30, "the record is there again")


async def has(run: Run, identity: str) -> bool:
    return (await run.people[0].get(identity)).status_code == 200


async def test_records_work_without_kafka_and_redis(run: Run) -> None:
    person, workers = run.people[0], ("records-worker", "attachments-worker", "notify-worker")
    before = [await run.processes.pid(worker) for worker in workers]
    async with run.processes.down("kafka"), run.processes.down("redis"):
        record = await person.created()
        changed = await person.change(record["record_id"], 1, EDUCATION | {"major": "测绘"})
        assert changed.status_code == 200
        run.log.acknowledged |= {(record["record_id"], 1), (record["record_id"], 2)}
        await eventually(lambda: waits(run), 40, "the worker tells that changes wait", pause=0.5)
    await run.settled()
    assert [await run.processes.pid(worker) for worker in workers] == before, "a worker did not wait for Kafka"


async def waits(run: Run) -> bool:
    async with run.stack.http(seconds=5) as http:
        seen = await read_status(http, run.worker, {"publisher_lag_events"})
    return sum(seen.values.values()) > 0


async def test_an_idempotency_key_has_one_effect_despite_repetition_and_kills(run: Run) -> None:
    """200 keys, ten concurrent requests each; the API is killed meanwhile; a caller without a response retries."""
    people = itertools.cycle(run.people)
    asked = [(next(people), f"key-{number}", EDUCATION | {"major": f"专业{number}"}) for number in range(KEYS)]
    answers: dict[str, set[tuple[int, bytes]]] = {key: set() for _, key, _ in asked}
    limit = asyncio.Semaphore(40)

    async def ask(person: Person, key: str, data: dict[str, object]) -> None:
        async with limit:
            for _ in range(100):
                response = await run_safely(person, key, data)
                if response is not None and response[0] != 503:
                    answers[key].add(response)
                    return
                await asyncio.sleep(0.2)
        raise AssertionError("no answer")

    repeats = asyncio.gather(*(ask(*one) for _ in range(10) for one in asked))
    await eventually(lambda: answered(answers, KEYS // 3), 30, "some are answered", pause=0.01)
    await run.processes.kill("records-api")
    await repeats
    assert {len(found) for found in answers.values()} == {1}, "one key, different answers"
    assert {status for found in answers.values() for status, _ in found} == {201}
    others = [await person.create(EDUCATION | {"major": "另外"}, key=key) for person, key, _ in asked[:20]]
    assert {(other.status_code, other.json()["code"]) for other in others} == {(409, "idempotency_conflict")}
    assert await count(run) == KEYS


async def run_safely(person: Person, key: str, data: dict[str, object]) -> tuple[int, bytes] | None:
    try:
        response = await person.create(data, key=key)
    except httpx2.TransportError:
        return None
    return response.status_code, response.content


async def answered(answers: dict[str, set[tuple[int, bytes]]], enough: int) -> bool:
    return sum(map(bool, answers.values())) >= enough


async def count(run: Run) -> int:
    async with mongo.connect(run.stack.mongo, "records") as database:
        return int(await database["records"].count_documents({"practitioner_id": {"$in": [*run.persons]}}))
