"""Scans of other people: not found for strangers, audited when staff or a client reads them."""

import asyncio

import httpx2

from kit.security.tokens import Caller, TokenIssuer
from tests.attachments.conftest import ATTACHMENTS, Uploader
from tests.support.identity_clients import bearer
from tests.support.problems import fields_of, problem
from tests.support.scans import scan

STAFF = Caller("c0ffee00-0000-4000-8000-000000000001", "staff", frozenset({"clerk"}))


async def test_strangers_find_nothing(uploader: Uploader, another: Uploader) -> None:
    record_id = await uploader.record()
    problem(await another.send(record_id, scan(72)), 404, "record_not_found")
    attachment_id = (await uploader.sent(record_id, scan(72)))["attachment_id"]
    await uploader.verdict(record_id)
    problem(await another.send(record_id, scan(72)), 404, "record_not_found")
    problem(await another.look(record_id), 404, "not_found")
    problem(await another.delete(record_id), 404, "not_found")
    for which in ("image", "thumbnail"):
        problem(await another.file(attachment_id, which), 404, "not_found")
    assert (await uploader.file(attachment_id)).status_code == 200


async def test_staff_read_with_a_reason_and_see_that_a_file_was_used_twice(
    uploader: Uploader, another: Uploader, gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> None:
    content = scan(72, seed=21)
    mine, theirs = await uploader.record(), await another.record()
    for who, record_id in ((uploader, mine), (another, theirs)):
        await who.sent(record_id, content)
        verdict = await who.verdict(record_id)
        assert (verdict["state"], verdict["used_elsewhere"]) == ("accepted", None)
    path, clerk = f"{ATTACHMENTS}/records/{mine}/attachment", bearer(issuer.issue(STAFF))
    unexplained = problem(await gateway.get(path, headers=clerk), 422, "invalid_fields")
    assert fields_of(unexplained) == {"X-Access-Reason": "reason_required"}
    looked = await gateway.get(path, headers=clerk | {"X-Access-Reason": "check"})
    assert looked.json()["used_elsewhere"] is True
    client = bearer(issuer.issue(Caller("downstream", "client", scopes=frozenset({"attachments:read"}))))
    image = f"{ATTACHMENTS}/attachments/{looked.json()['attachment_id']}/image"
    assert (await gateway.get(image, headers=client)).status_code == 200


async def test_of_many_concurrent_uploads_for_one_record_one_is_accepted(uploader: Uploader) -> None:
    record_id = await uploader.record()
    answers = await asyncio.gather(*(uploader.send(record_id, scan(72, seed=30 + n)) for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [202, *[409] * 7]
    assert (await uploader.verdict(record_id))["state"] == "accepted"
