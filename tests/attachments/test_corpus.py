"""Hostile files at the public door: a verdict for each, no worker dies, nothing that was planted comes out."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import httpx2
import pytest

from kit.auth import TokenIssuer
from tests.attachments.conftest import Uploader
from tests.attachments.corpus import hostile, many_scans
from tests.support.names import seeded
from tests.support.people import Person
from tests.support.problems import problem, well_formed
from tests.support.processes import Processes
from tests.support.scans import scan

MUTATIONS, GOOD, AT_ONCE, WITHIN = 250, 100, 6, 5.0
SHARED = ("attachments-api", "attachments-worker", "records-worker")


@pytest.fixture
def newcomer(gateway: httpx2.AsyncClient, issuer: TokenIssuer) -> Callable[[], Uploader]:
    return lambda: Uploader(Person(gateway, issuer))


async def judged(uploader: Uploader, content: bytes) -> str:
    """What became of a file: its state, or the code it was refused with at the door."""
    record_id = await uploader.record()
    answer = await uploader.send(record_id, content)
    assert answer.status_code in (202, 415), answer.text
    if answer.status_code == 415:
        return str(well_formed(answer)["code"])
    began = time.monotonic()
    found = await uploader.verdict(record_id, within=WITHIN)
    assert time.monotonic() - began < WITHIN
    if found["state"] == "accepted":
        for which in ("image", "thumbnail"):
            shown = await uploader.file(found["attachment_id"], which)
            assert shown.status_code == 200
            assert shown.content.startswith(b"\xff\xd8\xff")
            assert shown.content.endswith(b"\xff\xd9")
            assert b"planted" not in shown.content
    return str(found["reasons"][0]["code"] if found["reasons"] else found["state"])


async def all_judged(newcomer: Callable[[], Uploader], files: list[bytes]) -> Counter[str]:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(content: bytes) -> str:
        async with room:
            return await judged(newcomer(), content)

    return Counter(await asyncio.gather(*map(one, files)))


async def test_every_hostile_file_has_a_verdict_and_no_process_dies_of_one(
    newcomer: Callable[[], Uploader], processes: Processes
) -> None:
    before = [await processes.pid(name) for name in SHARED]
    files = list(hostile(MUTATIONS, seeded()))
    seen = await all_judged(newcomer, files)
    print(len(files), seen)
    assert sum(seen.values()) == len(files) > 300
    assert seen["damaged"] > 30
    assert seen["not_jpeg"] >= 10
    assert "check_failed" not in seen
    assert [await processes.pid(name) for name in SHARED] == before


async def test_good_scans_are_all_accepted(newcomer: Callable[[], Uploader]) -> None:
    chance = seeded()
    files = [
        scan(chance.randrange(72, 101), seed=100 + number, quality=chance.randrange(40, 80)) for number in range(GOOD)
    ]
    assert await all_judged(newcomer, files) == Counter(accepted=GOOD)


async def test_a_file_that_keeps_its_process_busy_is_refused_and_others_go_on(
    uploader: Uploader, another: Uploader, processes: Processes
) -> None:
    before = await processes.pid("attachments-worker")
    bomb = many_scans(5_000, 1_000)
    assert len(bomb) < 300 * 1024
    record_id, theirs = await uploader.record(), await another.record()
    await uploader.sent(record_id, bomb)
    await another.sent(theirs, scan(72, seed=99))
    assert (await another.verdict(theirs, within=3))["state"] == "accepted"
    verdict = await uploader.verdict(record_id, within=15)
    assert [reason["code"] for reason in verdict["reasons"]] == ["too_costly"]
    assert await processes.pid("attachments-worker") == before
    problem(await uploader.file(verdict["attachment_id"]), 404, "not_found")
