"""Servers and processes are killed: every accepted upload gets a verdict, a refused one leaves nothing."""

import asyncio
from random import Random

import pytest

from kit import mongo
from kit.files.blobs import Bucket
from tests.signature.conftest import NewSigner, Signer
from tests.support.problems import problem
from tests.support.processes import Processes
from tests.support.scale import scaled
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.faults
PEOPLE, KILLS = scaled(20, 6), scaled(5, 2)


async def test_without_s3_sheets_are_refused_and_earlier_ones_checked_afterwards(
    signer: Signer, new_signer: NewSigner, processes: Processes
) -> None:
    another = await new_signer()
    content, theirs = await signer.signed(Random(1)), await another.signed(Random(2))
    async with processes.down("signature-worker"):
        assert (await signer.send(content)).status_code == 202
    async with processes.down("s3"):
        problem(await another.send(theirs), 503, "unavailable")
        assert (await another.look())["state"] == "none"
        assert (await signer.look())["state"] == "checking"
    assert (await signer.verdict(within=40))["state"] == "accepted"


async def test_repeated_kills_of_the_worker_lose_no_signature_verdict(
    new_signer: NewSigner, processes: Processes
) -> None:
    signers = [await new_signer() for _ in range(PEOPLE)]
    sheets = [await one.signed(Random(number)) for number, one in enumerate(signers)]

    async def upload() -> None:
        for one, sheet in zip(signers, sheets, strict=True):
            assert (await one.send(sheet)).status_code == 202
            await asyncio.sleep(0.5)

    uploading = asyncio.create_task(upload())
    for _ in range(KILLS):
        await asyncio.sleep(1)
        await processes.kill("signature-worker")
    await uploading
    for one in signers:
        assert (await one.verdict(within=60))["state"] == "accepted"
        assert (await one.file("image")).status_code == 200


async def test_the_files_of_a_replaced_signature_are_removed(
    signer: Signer, bucket: Bucket, stack: RunningStack
) -> None:
    for number in range(2):
        assert (await signer.judged(await signer.signed(Random(number))))["state"] == "accepted"

    async def left() -> bool:
        async with mongo.connect(stack.mongo, "signature") as database:
            found = await database["signatures"].find({"practitioner_id": signer.person.id}).to_list(9)
        gone = [one for one in found if one["state"] == "replaced"]
        return len(gone) == 1 and not await bucket.keys(str(gone[0]["folder"]))

    await eventually(left, 20, "one signature and its files remain")
