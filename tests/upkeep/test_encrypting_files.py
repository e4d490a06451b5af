"""Unencrypted files of earlier versions, and those of a replaced key: re-encrypted while they are read."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from deploy.backup.restore import put_objects
from deploy.local.secrets import random_key
from deploy.local.stack import ROOT
from kit import mongo
from kit.core.errors import Unavailable
from kit.core.ids import secret_id
from kit.files import blobs, encrypted_bucket
from kit.files.blobs import Bucket, ChecksumMismatch
from kit.files.encrypted_bucket import EncryptedBucket
from kit.mongo import Database
from kit.privacy.reencryption import Progress, reencrypt_files
from kit.security.encryption import Cipher, looks_encrypted
from kit.security.tokens import TokenIssuer
from kit.settings import KeyRing
from tests.attachments.conftest import Uploader
from tests.signature.conftest import Signer
from tests.support.backups import Backups, Destination
from tests.support.identity_clients import Window
from tests.support.people import Person
from tests.support.problems import problem
from tests.support.processes import Processes
from tests.support.scans import scan
from tests.support.stack import RunningStack
from tests.support.things import Things

pytestmark = pytest.mark.all_data
SCANS, DOCUMENTS = 10, 30
COLLECTIONS = {"attachments": "attachments", "signature": "signatures"}


class Old:
    """A service's documents and objects as an earlier version left them."""

    def __init__(self, database: Database, service: str, bucket: Bucket, sealed: EncryptedBucket) -> None:
        self.documents = database[COLLECTIONS[service]]
        self.bucket, self._sealed = bucket, sealed

    async def document(self, identity: str) -> dict[str, Any]:
        return dict(await self.documents.find_one({"_id": identity}) or {})

    async def keys(self, identity: str) -> list[str]:
        return await self.bucket.keys(f"{(await self.document(identity))['folder']}/")

    async def lay_clear(self, identity: str) -> None:
        """Replaces the document's objects by unencrypted ones, and marks the document as not encrypted."""
        for key in await self.keys(identity):
            await self.bucket.put(key, await self._sealed.named(key), "image/jpeg")
        await self.documents.update_one({"_id": identity}, {"$unset": {"sealed": ""}})

    async def sealed(self, identity: str) -> bool:
        """Whether the document and all of its objects are encrypted."""
        objects = [await self.bucket.named(key) for key in await self.keys(identity)]
        return (await self.document(identity)).get("sealed") is True and all(looks_encrypted(each) for each in objects)


@asynccontextmanager
async def of_before(stack: RunningStack, service: str) -> AsyncIterator[Old]:
    async with (
        mongo.connect(stack.mongo, service) as database,
        blobs.connect(stack.blobs(service)) as bucket,
        encrypted_bucket.connect(stack.blobs(service), stack.cipher(service)) as sealed,
    ):
        yield Old(database, service, bucket, sealed)


async def reseal_by_command(stack: RunningStack, service: str) -> dict[str, Any]:
    """Runs the command as an operator does. Returns its last log line."""
    environment = os.environ | stack.environment(f"{service}-worker")
    command = [sys.executable, "-m", f"services.{service}", "reseal"]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, env=environment, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


async def reseal(stack: RunningStack, service: str) -> Progress:
    """Does in this process what the command does: starting the command takes two seconds."""
    async with (
        mongo.connect(stack.mongo, service) as database,
        encrypted_bucket.connect(stack.blobs(service), stack.cipher(service)) as bucket,
    ):
        return await reencrypt_files(database, COLLECTIONS[service], bucket)


async def accepted(uploader: Uploader, seed: int) -> str:
    record = await uploader.record()
    attachment = str((await uploader.sent(record, scan(72, seed=seed)))["attachment_id"])
    assert (await uploader.verdict(record))["state"] == "accepted"
    return attachment


async def shown(uploader: Uploader, attachment: str) -> bytes:
    answers = [await uploader.file(attachment, which) for which in ("image", "thumbnail")]
    assert [answer.status_code for answer in answers] == [200, 200]
    return b"".join(answer.content for answer in answers)


async def test_scans_of_earlier_versions_are_served_and_encrypted_concurrently(
    stack: RunningStack, person: Person
) -> None:
    uploader = Uploader(person)
    scans = [await accepted(uploader, seed) for seed in range(SCANS)]
    pictures = [await shown(uploader, each) for each in scans]
    async with of_before(stack, "attachments") as old:
        for each in scans:
            await old.lay_clear(each)
        versions = [(await old.document(each))["version"] for each in scans]
        assert [await shown(uploader, each) for each in scans] == pictures

        resealing, reads = asyncio.create_task(reseal_by_command(stack, "attachments")), 0
        while not resealing.done():
            assert await shown(uploader, scans[reads % SCANS]) == pictures[reads % SCANS]
            reads += 1
        outcome = await resealing
        print(f"{reads} reads meanwhile; {outcome}")
        assert reads > SCANS
        assert all([await old.sealed(each) for each in scans])
        assert [await shown(uploader, each) for each in scans] == pictures
        assert [(await old.document(each))["version"] for each in scans] == versions
        assert (await reseal(stack, "attachments")).written == 0

        key = (await old.keys(scans[0]))[0]
        kept = await old.bucket.named(key)
        await old.bucket.put(key, pictures[0], "image/jpeg")
        problem(await uploader.file(scans[0]), 500, "internal_error")  # unencrypted it is no longer accepted
        await old.bucket.put(key, kept, "application/octet-stream")


async def test_signatures_of_earlier_versions_are_served_and_encrypted(
    stack: RunningStack, window: Window, gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> None:
    citizen = await window.registered()
    signer = Signer(Person(gateway, issuer, citizen.id), citizen)
    signature = (await signer.judged(await signer.signed(Random(1))))["signature_id"]
    files = [(await signer.file(which)).content for which in ("scan", "image")]
    async with of_before(stack, "signature") as old:
        await old.lay_clear(signature)
        assert [(await signer.file(which)).content for which in ("scan", "image")] == files
        await reseal_by_command(stack, "signature")
        assert await old.sealed(signature)
    assert [(await signer.file(which)).content for which in ("scan", "image")] == files


async def test_files_are_stored_readable_for_the_old_version_while_it_runs(
    stack: RunningStack, processes: Processes, issuer: TokenIssuer, person: Person, tmp_path: Path
) -> None:
    async with (
        processes.standby("attachments-api", "beside-old", tmp_path / "api.log", SEAL_FILES="false") as api,
        stack.http(api.api) as http,
        of_before(stack, "attachments") as old,
    ):
        upgraded, record = Uploader(Person(http, issuer, person.id)), await Uploader(person).record()
        attachment = str((await upgraded.sent(record, scan(72, seed=3)))["attachment_id"])
        assert (await upgraded.verdict(record))["state"] == "accepted"
        picture = await shown(upgraded, attachment)
        stored = [await old.bucket.named(key) for key in await old.keys(attachment)]
        assert {content[:3] for content in stored} == {b"\xff\xd8\xff"}, "by API and worker"
        await reseal(stack, "attachments")
        assert await old.sealed(attachment)
        assert await shown(upgraded, attachment) == picture


async def test_a_pending_scan_of_an_earlier_version_is_checked(stack: RunningStack, person: Person) -> None:
    """Its original is unencrypted when the worker of this version reads it."""
    uploader = Uploader(person)
    attachment = await accepted(uploader, 1)
    async with of_before(stack, "attachments") as old:
        await old.lay_clear(attachment)
        document = await old.document(attachment)
        waiting = {**document, "state": "checking", "version": document["version"] + 1}
        await old.documents.replace_one({"_id": attachment}, waiting)
    verdict = await uploader.verdict(document["record_id"])
    assert verdict["state"] == "accepted"
    await shown(uploader, attachment)


async def test_the_backup_replaces_the_unencrypted_file_by_the_encrypted_one(
    stack: RunningStack, person: Person, tmp_path: Path
) -> None:
    uploader, backups = Uploader(person), Backups(stack, Destination.below(tmp_path))
    attachment = await accepted(uploader, 2)
    picture = await shown(uploader, attachment)
    async with of_before(stack, "attachments") as old:
        await old.lay_clear(attachment)
        await backups.dumped()
        keys = await old.keys(attachment)
        await reseal(stack, "attachments")
        dump = await backups.dumped()
        for key in keys:
            await old.bucket.delete(key)
        assert await put_objects(backups.restore_settings(), dump, backups.destination.decryption) == 3
        assert all([looks_encrypted(await old.bucket.named(key)) for key in keys])
        assert await shown(uploader, attachment) == picture


class Killed(EncryptedBucket):
    """The bucket of a process that is killed after a third of the files."""

    left = DOCUMENTS // 3

    async def renew(self, key: str, clear: bool = False) -> bool:
        self.left -= 1
        if self.left < 0:
            raise Unavailable("killed")
        return await super().renew(key, clear)


class Files:
    """Documents with one file each in a bucket, under keys of the test's own."""

    def __init__(self, stack: RunningStack, database: Database) -> None:
        self.database, self.settings = database, stack.blobs("attachments")
        self.root, self.rings = f"test-{secret_id()}", {"k1": random_key(), "k2": random_key()}

    def cipher(self, current: str, *others: str) -> Cipher:
        keys = {name: self.rings[name] for name in (current, *others)}
        return Cipher(KeyRing.model_validate({"keys": keys, "current": current}))

    @asynccontextmanager
    async def opened(self, current: str, *others: str) -> AsyncIterator[EncryptedBucket]:
        async with encrypted_bucket.connect(self.settings, self.cipher(current, *others)) as bucket:
            yield bucket

    def key(self, number: int) -> str:
        return f"{self.root}/{number}/original"

    async def fill(self) -> None:
        async with self.opened("k1") as bucket:
            for number in range(DOCUMENTS):
                await bucket.put(self.key(number), str(number).encode(), "image/jpeg")
                document = {"_id": str(number), "version": 1, "folder": f"{self.root}/{number}", "sealed": True}
                await self.database["files"].insert_one(document)

    async def opened_by_new(self) -> int:
        """The number of files that do not need the old key."""
        count = 0
        async with self.opened("k2") as bucket:
            for number in range(DOCUMENTS):
                try:
                    count += await bucket.get(self.key(number)) == str(number).encode()
                except ChecksumMismatch:
                    continue
        return count


@pytest_asyncio.fixture
async def files(stack: RunningStack, things: Things) -> AsyncIterator[Files]:
    made = Files(stack, things.database)
    await made.fill()
    yield made
    async with made.opened("k1") as bucket:
        for key in await bucket.keys(f"{made.root}/"):
            await bucket.delete(key)


async def test_a_key_is_removed_after_all_files_were_re_encrypted(files: Files) -> None:
    with blobs.threads_of(files.settings) as threads:
        killed = Killed(files.settings, threads, files.cipher("k2", "k1"))
        with pytest.raises(Unavailable):
            await reencrypt_files(files.database, "files", killed)
    async with files.opened("k2", "k1") as bucket:
        done = await files.opened_by_new()
        assert 0 < done < DOCUMENTS
        progress = await reencrypt_files(files.database, "files", bucket)
        assert (progress.written, progress.damaged) == (DOCUMENTS - done, 0)
        assert await files.opened_by_new() == DOCUMENTS
        assert (await reencrypt_files(files.database, "files", bucket)).written == 0


async def test_an_undecryptable_file_is_reported_and_the_others_are_encrypted(files: Files) -> None:
    async with blobs.connect(files.settings) as raw:
        await raw.put(files.key(0), await raw.named(files.key(1)), "application/octet-stream")
    async with files.opened("k2", "k1") as bucket:
        progress = await reencrypt_files(files.database, "files", bucket)
    assert (progress.written, progress.damaged) == (DOCUMENTS - 1, 1)
    assert await files.opened_by_new() == DOCUMENTS - 1
