"""Signatures belong to their owner: not found for strangers, access by staff and clients is audited."""

import asyncio
import time
from random import Random

import httpx2
import pytest

from kit import mongo
from kit.security.tokens import Caller, TokenIssuer
from tests.signature.conftest import OWN, NewSigner, Signer
from tests.support.identity_clients import Window, bearer
from tests.support.problems import fields_of, problem
from tests.support.sheets import scanned
from tests.support.sms import Carriers
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

CLERK = Caller("c0ffee00-0000-4000-8000-000000000001", "staff", frozenset({"clerk"}))
CLIENT = Caller("downstream", "client", scopes=frozenset({"signature:read"}))
NOBODY = Caller("downstream", "client", scopes=frozenset({"records:read"}))


async def test_strangers_find_nothing_and_reads_are_audited(
    signer: Signer, new_signer: NewSigner, gateway: httpx2.AsyncClient, issuer: TokenIssuer, stack: RunningStack
) -> None:
    assert (await signer.judged(await signer.signed(Random(1))))["state"] == "accepted"
    another, base = await new_signer(), f"/api/signature/practitioners/{signer.person.id}/signature"
    for path in (base, f"{base}/image", f"{base}/scan"):
        problem(await another.person.call("GET", path), 404, "not_found")
        problem(await gateway.get(path), 401, "unauthorized")
        problem(await gateway.get(path, headers=bearer(issuer.issue(NOBODY))), 404, "not_found")
        unexplained = problem(await gateway.get(path, headers=bearer(issuer.issue(CLERK))), 422, "invalid_fields")
        assert fields_of(unexplained) == {"X-Access-Reason": "reason_required"}
        assert (await gateway.get(path, headers=bearer(issuer.issue(CLIENT)))).status_code == 200
        looked = await gateway.get(path, headers=bearer(issuer.issue(CLERK)) | {"X-Access-Reason": "check"})
        assert looked.status_code == 200
    async with mongo.connect(stack.mongo, "signature") as database:
        entries = await database["looks"].find({"practitioner_id": signer.person.id}).to_list(20)
    assert sorted(str(entry["role"]) for entry in entries) == ["clerk"] * 3 + ["client"] * 3


async def test_nobody_uploads_a_sheet_for_another_person(gateway: httpx2.AsyncClient, issuer: TokenIssuer) -> None:
    files = {"file": ("a.jpg", b"\xff\xd8\xff", "image/jpeg")}
    for caller in (CLERK, CLIENT):
        headers = bearer(issuer.issue(caller))
        problem(await gateway.post(f"{OWN}/signature", files=files, headers=headers), 404, "not_found")
        problem(await gateway.post(f"{OWN}/forms", headers=headers), 404, "not_found")


@pytest.mark.parametrize("age", [None, 11 * 60, 3600])
async def test_an_upload_needs_recent_authentication(
    signer: Signer, gateway: httpx2.AsyncClient, issuer: TokenIssuer, age: int | None
) -> None:
    """A stolen token cannot sign: the owner's phone has to confirm, a recent token is not enough."""
    proved = None if age is None else int(time.time()) - age
    thief = bearer(issuer.issue(Caller(signer.person.id, "practitioner", session="stolen", auth_time=proved)))
    files = {"file": ("a.jpg", await signer.signed(Random(3)), "image/jpeg")}
    refused = problem(await gateway.post(f"{OWN}/signature", files=files, headers=thief), 403, "fresh_proof_required")
    assert refused["max_age"] == 600
    assert (await signer.look())["state"] == "none"
    assert (await gateway.post(f"{OWN}/forms", headers=thief)).status_code == 201, "a form is no signature"


async def test_one_sheet_is_checked_at_a_time(signer: Signer) -> None:
    content = await signer.signed(Random(2))
    answers = await asyncio.gather(*(signer.send(content) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [202, *[409] * 5]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"signature_being_checked"}
    assert (await signer.verdict())["state"] == "accepted"


@pytest.mark.parametrize("name", ["../../etc/passwd", 'a"; rm -rf /\r\nX: y.jpg', "<script>.jpg", "\u202egpj.exe"])
async def test_the_file_name_is_ignored(signer: Signer, name: str) -> None:
    assert (await signer.send(await signer.signed(Random(3)), name=name)).status_code == 202
    assert (await signer.verdict())["state"] == "accepted"
    assert (await signer.file("image")).headers["Content-Disposition"] == 'inline; filename="signature.png"'


async def test_a_refused_sheet_is_notified_by_sms_if_the_person_left_the_page(
    signer: Signer, window: Window, sms_operators: Carriers
) -> None:
    assert (await window.issue(signer.citizen)).status_code == 201
    assert (await signer.send(scanned(await signer.printed(), Random(5))[0])).status_code == 202

    async def notified() -> bool:
        texts = [message["text"] for message in await sms_operators.inbox(signer.citizen.phone)]
        return any("签名信息采集表未通过检查" in text for text in texts)

    await eventually(notified, 40, "the SMS")
