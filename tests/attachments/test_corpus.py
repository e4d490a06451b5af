"""Files of every kind at the public API: each gets a verdict, no process crashes, nothing hidden in them is served."""

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx2
import psutil
import pytest

from kit.security.tokens import TokenIssuer
from tests.attachments.conftest import Uploader
from tests.attachments.corpus import MARK, blank, good, hostile, many_scans, segments
from tests.support.names import seeded
from tests.support.people import Person
from tests.support.problems import problem, well_formed
from tests.support.processes import Processes
from tests.support.scale import scaled
from tests.support.scans import scan

HOSTILE, GOOD, BLANK, AT_ONCE = scaled(2_050, 100), scaled(170, 17), scaled(160, 16), 6
SHARED = ("attachments-api", "attachments-worker", "records-api", "records-worker", "s3")
MOST_BYTES = 512 * 1024 * 1024
# the segments of a clean image: start, JFIF, tables, frame, scan, end
SOI, APP0, DQT, SOF0, DHT, SOS, EOI = 0xD8, 0xE0, 0xDB, 0xC0, 0xC4, 0xDA, 0xD9
JFIF = b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"


@dataclass(frozen=True)
class Judged:
    """The outcome of a file: its state, or the code of its refusal; seconds since its upload."""

    code: str
    seconds: float


@pytest.fixture
def newcomer(gateway: httpx2.AsyncClient, issuer: TokenIssuer) -> Callable[[], Uploader]:
    return lambda: Uploader(Person(gateway, issuer))


async def judged(uploader: Uploader, record_id: str, content: bytes) -> Judged:
    began = time.monotonic()
    answer = await uploader.send(record_id, content)
    assert answer.status_code in (202, 415), answer.text
    if answer.status_code == 415:
        return Judged(str(well_formed(answer)["code"]), time.monotonic() - began)
    found = await uploader.verdict(record_id, within=60)
    took = time.monotonic() - began
    if found["state"] == "accepted":
        for which in ("image", "thumbnail"):
            shown = await uploader.file(found["attachment_id"], which)
            assert shown.status_code == 200
            nothing_but_the_picture(shown.content)
    return Judged(str(found["reasons"][0]["code"] if found["reasons"] else found["state"]), took)


def nothing_but_the_picture(jpeg: bytes) -> None:
    found = list(segments(jpeg))
    markers = [marker for marker, _ in found]
    assert (markers[0], markers[1], markers[-2], markers[-1]) == (SOI, APP0, SOS, EOI)
    assert set(markers) == {SOI, APP0, DQT, SOF0, DHT, SOS, EOI}
    assert [content for marker, content in found if marker == APP0] == [JFIF]
    assert MARK not in jpeg


async def all_judged(newcomer: Callable[[], Uploader], files: Sequence[bytes]) -> Counter[str]:
    """Prints the number of files by verdict, and the slowest one."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(content: bytes) -> Judged:
        async with room:
            uploader = newcomer()
            return await judged(uploader, await uploader.record(), content)

    verdicts = await asyncio.gather(*map(one, files))
    seen = Counter(verdict.code for verdict in verdicts)
    print(f"{len(files)} files, the slowest {max(verdict.seconds for verdict in verdicts):.2f} s: {seen}")
    return seen


async def test_every_hostile_file_gets_a_verdict_and_crashes_no_process(
    newcomer: Callable[[], Uploader], processes: Processes
) -> None:
    before = [await processes.pid(name) for name in SHARED]
    files = hostile(HOSTILE, seeded())
    seen = await all_judged(newcomer, files)
    assert len(files) == HOSTILE
    assert seen["damaged"] > HOSTILE // 20
    assert seen["not_jpeg"] >= 10
    assert seen["accepted"] > 10
    assert "check_failed" not in seen
    assert [await processes.pid(name) for name in SHARED] == before
    children = psutil.Process(await processes.pid("attachments-worker")).children()
    limits = [child.rlimit(resource.RLIMIT_AS) for child in children]
    assert limits.count((MOST_BYTES, MOST_BYTES)) == 2, "each sandbox is held to its memory"


async def test_good_scans_are_all_accepted(newcomer: Callable[[], Uploader]) -> None:
    assert await all_judged(newcomer, list(good(GOOD, seeded()))) == Counter(accepted=GOOD)


async def test_blank_pages_are_all_refused(newcomer: Callable[[], Uploader]) -> None:
    """Good scans with little content or little light are all accepted."""
    assert await all_judged(newcomer, list(blank(BLANK, seeded()))) == Counter(blank=BLANK)


async def test_a_file_that_exceeds_its_processing_time_is_refused_and_others_are_checked(
    uploader: Uploader, another: Uploader, processes: Processes
) -> None:
    before = await processes.pid("attachments-worker")
    bomb = many_scans(5_000, 1_000)
    assert len(bomb) < 300 * 1024
    record_id, theirs = await uploader.record(), await another.record()
    await uploader.sent(record_id, bomb)
    await another.sent(theirs, scan(72, seed=99))
    assert (await another.verdict(theirs, within=10))["state"] == "accepted"
    verdict = await uploader.verdict(record_id, within=15)
    assert [reason["code"] for reason in verdict["reasons"]] == ["too_costly"]
    assert await processes.pid("attachments-worker") == before
    problem(await uploader.file(verdict["attachment_id"]), 404, "not_found")
