"""Portraits: reduced to the image, stored encrypted in S3 only."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from random import Random
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from PIL import Image

from kit import mongo
from kit.core.clock import ManualClock
from kit.core.ids import secret_id
from kit.files import blobs
from kit.files.blobs import Bucket
from kit.files.sweeper import Sweeper, SweeperPolicy
from kit.security.tokens import TokenIssuer
from services.identity.practitioners.portrait_folders import PORTRAIT_FOLDERS, new_folder, portraits
from services.identity.store import Store
from tests.support.erasure import have_erased
from tests.support.identity_clients import WINDOW, Citizen, LoginPage, Session, Staff, Window, at_once
from tests.support.portraits import make_loose
from tests.support.problems import fields_of, problem
from tests.support.processes import Processes
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

PORTRAIT = f"{WINDOW}/me/portrait"
FOLDERS = f"{PORTRAIT_FOLDERS}/"
MARK = b"<script>alert(1)</script>"


def photograph(seed: int = 1, size: tuple[int, int] = (358, 441), **options: object) -> bytes:
    made = BytesIO()
    coarse = Image.frombytes("RGB", (8, 10), Random(seed).randbytes(240))
    coarse.resize(size).save(made, "JPEG", **options)
    return made.getvalue()


def sent(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest_asyncio.fixture
async def bucket(stack: RunningStack) -> AsyncIterator[Bucket]:
    async with blobs.connect(stack.blobs("identity")) as opened:
        yield opened


async def stored(stack: RunningStack, citizen: Citizen) -> dict[str, Any]:
    async with mongo.connect(stack.mongo, "identity") as database:
        return dict(await database["practitioners"].find_one({"_id": citizen.id}) or {})


async def with_portrait(window: Window, login_page: LoginPage, content: bytes) -> tuple[Citizen, Session]:
    citizen = Citizen()
    citizen.card["portrait"] = sent(content)
    citizen.id = (await window.read_card(citizen)).json()["practitioner_id"]
    await window.issue(citizen)
    return citizen, await login_page.logged_in(citizen)


async def test_the_portrait_is_shown_without_metadata(window: Window, login_page: LoginPage) -> None:
    content = photograph(comment=MARK) + b"PK\x03\x04" + MARK
    _, session = await with_portrait(window, login_page, content)
    response = await session.call("GET", PORTRAIT)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/jpeg")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Disposition"] == 'inline; filename="portrait.jpg"'
    assert MARK not in response.content
    with Image.open(BytesIO(response.content)) as shown, Image.open(BytesIO(content)) as came:
        assert shown.size == came.size
        apart = [abs(a - b) for a, b in zip(shown.tobytes(), came.tobytes(), strict=True)]
    assert sum(apart) / len(apart) < 4


async def test_the_bucket_has_it_encrypted_under_a_random_object_key(
    window: Window, login_page: LoginPage, stack: RunningStack, bucket: Bucket
) -> None:
    citizen, session = await with_portrait(window, login_page, photograph())
    key = (await stored(stack, citizen))["portrait_key"]
    kept = await bucket.get(key)
    assert kept is not None
    assert b"JFIF" not in kept
    assert not any(secret in key for secret in (*citizen.secrets, citizen.id))
    await bucket.put(key, kept[:-1] + bytes([kept[-1] ^ 1]), "application/octet-stream")
    problem(await session.call("GET", PORTRAIT), 500, "internal_error", key)
    await bucket.delete(key)
    problem(await session.call("GET", PORTRAIT), 404, "not_found", key)


async def test_reading_a_card_again_with_the_same_portrait_stores_no_new_object(
    window: Window, login_page: LoginPage, stack: RunningStack, bucket: Bucket
) -> None:
    citizen, session = await with_portrait(window, login_page, photograph(1))
    first = await stored(stack, citizen)
    before = await bucket.keys(FOLDERS)
    await window.read_card(citizen, address="上海市静安区新址路2号")
    same = await stored(stack, citizen)
    assert (same["version"], same["changed"]) == (first["version"] + 1, ["address_sealed"])
    assert await bucket.keys(FOLDERS) == before
    shown = (await session.call("GET", PORTRAIT)).content
    await window.read_card(citizen, portrait=sent(photograph(2)))
    other = await stored(stack, citizen)
    assert other["portrait_key"] != first["portrait_key"]
    assert (await session.call("GET", PORTRAIT)).content != shown
    await window.read_card(citizen, portrait=None)
    assert (await stored(stack, citizen))["portrait_key"] == other["portrait_key"]


async def test_a_person_without_a_portrait_gets_not_found(window: Window, login_page: LoginPage) -> None:
    plain = Citizen()
    del plain.card["portrait"]
    plain.id = (await window.read_card(plain)).json()["practitioner_id"]
    await window.issue(plain)
    problem(await (await login_page.logged_in(plain)).call("GET", PORTRAIT), 404, "not_found")


HUGE = photograph().replace(b"\x01\xb9\x01\x66", b"\xff\xdc\xff\xdc", 1)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (photograph()[:900], "damaged"),
        (b"\xff\xd8\xff" + MARK * 20, "damaged"),
        (HUGE, "too_many_pixels"),
        (b"GIF89a" + MARK, "portrait_invalid"),
        (photograph() + bytes(100 * 1024), "portrait_invalid"),
    ],
    ids=["half", "no picture", "bomb", "gif", "big"],
)
async def test_an_invalid_portrait_is_refused_and_nobody_is_registered(
    window: Window, content: bytes, code: str
) -> None:
    citizen = Citizen()
    response = await window.read_card(citizen, portrait=sent(content))
    assert fields_of(problem(response, 422, "invalid_fields", *citizen.secrets)) == {"portrait": code}
    citizen.card["portrait"] = None
    assert (await window.read_card(citizen)).status_code == 201


async def test_one_card_at_five_windows_is_one_person_with_one_portrait(
    window: Window, stack: RunningStack, bucket: Bucket
) -> None:
    citizen = Citizen()
    citizen.card["portrait"] = sent(photograph(5))
    answers = await at_once(*(window.read_card(citizen) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
    citizen.id = answers[0].json()["practitioner_id"]
    assert await bucket.stat((await stored(stack, citizen))["portrait_key"])


@dataclass
class Kept:
    """The portraits in the bucket, and calls that add and remove them."""

    stack: RunningStack
    bucket: Bucket
    clerk: Staff
    issuer: TokenIssuer
    before: set[str] = field(default_factory=set)

    async def added(self) -> set[str]:
        """The object keys that are new since the test began."""
        return {*await self.bucket.keys(FOLDERS), *await self.bucket.keys("portraits/")} - self.before

    async def named(self, citizen: Citizen) -> set[str]:
        """The object keys in the person's document and its history."""
        return set(portraits(await stored(self.stack, citizen)))

    async def read(self, citizen: Citizen, *photos: int, count: int) -> list[httpx2.Response]:
        """Registers the same card at `count` windows at once, each with another photo."""
        cards = [citizen.card | {"portrait": sent(photograph(seed))} for seed in photos]
        answers = await at_once(*(self.clerk.call("POST", WINDOW, json=card) for card in cards))
        assert sum(answer.status_code == 201 for answer in answers) == count
        citizen.id = answers[0].json()["practitioner_id"]
        return answers

    async def sweep(self, folder: str, later: timedelta = timedelta()) -> None:
        """Runs the worker's sweep, at a later time."""
        async with mongo.connect(self.stack.mongo, "identity") as database:
            clock = ManualClock(datetime.now(UTC) + later)
            sweeper = Sweeper(PORTRAIT_FOLDERS, Store(database).with_folder_prefix, self.bucket, clock)
            await sweeper.sweep(folder[: len(FOLDERS) + 3])

    async def erase(self, citizen: Citizen) -> None:
        """Erases the person and waits for it."""
        await have_erased(self.clerk.http, self.issuer, citizen.id)

        async def erased() -> bool:
            return not await stored(self.stack, citizen)

        await eventually(erased, 30, "the person is erased")


@pytest_asyncio.fixture
async def kept(stack: RunningStack, bucket: Bucket, window: Window, issuer: TokenIssuer) -> Kept:
    made = Kept(stack, bucket, window.clerk, issuer)
    made.before = await made.added()
    return made


async def test_concurrent_registrations_leave_no_portrait_after_an_erasure(kept: Kept) -> None:
    citizen = Citizen()
    await kept.read(citizen, 11, 12, 13, 14, 15, count=1)
    assert await kept.added() == await kept.named(citizen), "whoever lost the race took their portrait along"
    await kept.erase(citizen)
    assert await kept.added() == set()


async def test_concurrent_readings_of_a_card_leave_no_orphaned_portrait(kept: Kept) -> None:
    citizen = Citizen()
    await kept.read(citizen, 21, count=1)
    await kept.read(citizen, 22, 23, 24, 25, 26, count=0)
    assert len(await kept.named(citizen)) == 6
    assert await kept.added() == await kept.named(citizen)


async def test_orphaned_portraits_are_swept_after_a_day_and_others_stay(kept: Kept) -> None:
    citizen, left = Citizen(), new_folder()
    await kept.read(citizen, 31, count=1)
    await kept.read(citizen, 32, count=0)
    await kept.bucket.put(f"{left}/{secret_id()}", b"left behind", "application/octet-stream")
    own = (await stored(kept.stack, citizen))["folder"]
    for folder in (left, own):
        await kept.sweep(folder)
        assert await kept.bucket.keys(folder), "an upload may be under way"
        await kept.sweep(folder, 2 * SweeperPolicy().grace)
    assert await kept.bucket.keys(left) == []
    assert set(await kept.bucket.keys(own)) == await kept.named(citizen)


async def test_orphaned_portraits_in_a_persons_folder_are_removed_by_the_erasure(kept: Kept) -> None:
    citizen = Citizen()
    await kept.read(citizen, 41, count=1)
    own = (await stored(kept.stack, citizen))["folder"]
    await kept.bucket.put(f"{own}/{secret_id()}", b"left behind", "application/octet-stream")
    await kept.erase(citizen)
    assert await kept.added() == set()


async def test_a_portrait_stored_by_an_earlier_version_is_shown_replaced_and_erased(
    kept: Kept, login_page: LoginPage
) -> None:
    citizen, session = await with_portrait(Window(kept.clerk), login_page, photograph(51))
    shown = (await session.call("GET", PORTRAIT)).content
    async with mongo.connect(kept.stack.mongo, "identity") as database:
        loose = await make_loose(database, kept.bucket, citizen.id)
    assert (await session.call("GET", PORTRAIT)).content == shown
    await kept.read(citizen, 52, count=0)
    assert (await session.call("GET", PORTRAIT)).content != shown
    assert loose in await kept.named(citizen)
    await kept.erase(citizen)
    assert await kept.added() == set()


async def test_without_s3_nobody_is_registered_partially(
    window: Window, login_page: LoginPage, processes: Processes, stack: RunningStack, gateway: httpx2.AsyncClient
) -> None:
    known, session = await with_portrait(window, login_page, photograph(1))
    newcomer, plain = Citizen(), Citizen()
    plain.card["portrait"] = None
    before = await stored(stack, known)
    async with processes.down("s3"):
        problem(await window.read_card(newcomer), 503, "unavailable", *newcomer.secrets)
        changed = await window.read_card(known, portrait=sent(photograph(2)), address="上海市静安区新址路2号")
        problem(changed, 503, "unavailable", *known.secrets)
        problem(await session.call("GET", PORTRAIT), 503, "unavailable")
        assert (await window.read_card(plain)).status_code == 201
        assert (await window.read_card(known)).status_code == 200
        assert (await gateway.post("/api/identity/captchas")).status_code == 201
    after = await stored(stack, known)
    assert (after["version"], after["portrait_key"]) == (before["version"] + 1, before["portrait_key"])

    async def registered() -> bool:
        return (await window.read_card(newcomer)).status_code == 201

    await eventually(registered, 20, "S3 is back", pause=0.3)
    assert (await session.call("GET", PORTRAIT)).status_code == 200
