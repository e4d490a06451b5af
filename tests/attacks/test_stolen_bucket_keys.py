"""An attacker with a bucket's keys sees no file, and can't have one served in place of another."""

import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from io import BytesIO
from random import Random
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from PIL import Image, UnidentifiedImageError

from kit import mongo
from kit.files import blobs
from kit.files.blobs import Bucket
from kit.security.tokens import TokenIssuer
from tests.attachments.conftest import Uploader
from tests.signature.conftest import Signer
from tests.support.identity_clients import Window
from tests.support.people import Person
from tests.support.problems import problem
from tests.support.processes import Processes
from tests.support.scans import scan
from tests.support.stack import RunningStack

BEGINNINGS = (b"\xff\xd8\xff\xe0\x00\x10JFIF", b"\x89PNG\r\n\x1a\n", b"%PDF-")
JPEG = "image/jpeg"


@dataclass
class Thief:
    """Reads and writes objects of a service directly in S3; restores its changes afterwards."""

    stack: RunningStack
    service: str
    collection: str
    bucket: Bucket
    before: dict[str, bytes] = field(default_factory=dict)

    async def folder(self, identity: str) -> str:
        async with mongo.connect(self.stack.mongo, self.service) as database:
            found: dict[str, Any] = await database[self.collection].find_one({"_id": identity}) or {}
        return str(found["folder"])

    async def objects(self, identity: str) -> dict[str, bytes]:
        """The objects of the folder, by name."""
        folder = await self.folder(identity)
        keys = await self.bucket.keys(f"{folder}/")
        return {key.rpartition("/")[2]: await self.bucket.named(key) for key in keys}

    async def put(self, key: str, content: bytes) -> None:
        self.before.setdefault(key, await self.bucket.named(key))
        await self.bucket.put(key, content, JPEG)

    async def swap(self, one: str, other: str) -> None:
        first, second = await self.bucket.named(one), await self.bucket.named(other)
        await self.put(one, second)
        await self.put(other, first)

    async def put_back(self) -> None:
        for key, content in self.before.items():
            await self.bucket.put(key, content, JPEG)

    def logged(self, process: str, key: str) -> bool:
        lines = self.stack.log(f"{self.service}-{process}").read_text().splitlines()
        return any(key in line and "checksum mismatch" in line for line in lines)


@pytest_asyncio.fixture
async def thief(stack: RunningStack) -> AsyncIterator[Thief]:
    async with blobs.connect(stack.blobs("attachments")) as bucket:
        made = Thief(stack, "attachments", "attachments", bucket)
        yield made
        await made.put_back()


@pytest.fixture
def uploader(person: Person) -> Uploader:
    return Uploader(person)


async def accepted(uploader: Uploader, content: bytes) -> str:
    record = await uploader.record()
    attachment = str((await uploader.sent(record, content))["attachment_id"])
    assert (await uploader.verdict(record))["state"] == "accepted"
    return attachment


def sees_nothing(objects: dict[str, bytes], number: str) -> None:
    """Checks for no image, no page, no document number: only incompressible noise."""
    for name, content in objects.items():
        assert not [each for each in (*BEGINNINGS, number.encode()) if each in content], name
        assert len(zlib.compress(content)) > len(content), name
        with pytest.raises(UnidentifiedImageError):
            Image.open(BytesIO(content))


async def test_nothing_of_a_scan_is_readable(uploader: Uploader, thief: Thief) -> None:
    number = "310101199003071230"
    attachment = await accepted(uploader, scan(72, seed=1, comment=number.encode()))
    objects = await thief.objects(attachment)
    assert objects.keys() == {"original", "image", "thumbnail"}
    sees_nothing(objects, number)


async def test_nothing_of_a_signed_sheet_is_readable(
    window: Window, gateway: httpx2.AsyncClient, issuer: TokenIssuer, stack: RunningStack
) -> None:
    citizen = await window.registered()
    signer, number = Signer(Person(gateway, issuer, citizen.id), citizen), str(citizen.card["document_number"])
    verdict = await signer.judged(await signer.signed(Random(1)) + number.encode())
    assert verdict["state"] == "accepted"
    async with blobs.connect(stack.blobs("signature")) as bucket:
        objects = await Thief(stack, "signature", "signatures", bucket).objects(verdict["signature_id"])
    assert objects.keys() == {"original", "scan", "image"}
    sees_nothing(objects, number)


async def test_swapped_objects_are_not_served(uploader: Uploader, thief: Thief) -> None:
    one, other = [await accepted(uploader, scan(72, seed=seed)) for seed in (2, 3)]
    shown = (await uploader.file(one)).content
    mine, theirs = [f"{await thief.folder(each)}/image" for each in (one, other)]
    await thief.swap(mine, theirs)
    for attachment, key in ((one, mine), (other, theirs)):
        problem(await uploader.file(attachment), 500, "internal_error", key)
        assert thief.logged("api", key)
    await thief.put_back()
    assert (await uploader.file(one)).content == shown


async def test_an_unencrypted_object_in_place_of_a_scan_is_not_served(uploader: Uploader, thief: Thief) -> None:
    attachment = await accepted(uploader, scan(72, seed=4))
    key = f"{await thief.folder(attachment)}/image"
    await thief.put(key, scan(72, seed=5))
    problem(await uploader.file(attachment), 500, "internal_error", key)
    assert thief.logged("api", key)


async def test_files_swapped_before_their_check_are_not_accepted(
    uploader: Uploader, thief: Thief, processes: Processes
) -> None:
    records = [await uploader.record() for _ in range(2)]
    async with processes.down("attachments-worker"):
        sent = [str((await uploader.sent(each, scan(72, seed=6)))["attachment_id"]) for each in records]
        keys = [f"{await thief.folder(each)}/original" for each in sent]
        await thief.swap(*keys)
    for record, key in zip(records, keys, strict=True):
        verdict = await uploader.verdict(record, within=40)
        assert (verdict["state"], [reason["code"] for reason in verdict["reasons"]]) == ("refused", ["lost"])
        assert thief.logged("worker", key)
