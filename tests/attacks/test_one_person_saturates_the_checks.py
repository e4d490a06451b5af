"""One account can't use up shared capacity: uploads and checks, downloads, exports, writes."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx2
import pytest

from kit import mongo
from kit.core.errors import TooManyRequests
from kit.files.encrypted_bucket import EncryptedBucket
from kit.http.quotas import Quotas, QuotaSettings
from kit.redis import RedisServer
from kit.security.tokens import TokenIssuer
from services.attachments.settings import Quotas as ScanQuotas
from services.portal.settings import Quotas as PortalQuotas
from services.records.settings import Quotas as RecordQuotas
from tests.attachments.conftest import Uploader, bucket
from tests.support.events import SecurityLog
from tests.support.identity_clients import LoginPage, Window
from tests.support.names import own_id
from tests.support.people import Person
from tests.support.portal import member_of
from tests.support.problems import problem, retry_after_seconds
from tests.support.processes import Processes
from tests.support.scans import scan
from tests.support.stack import RunningStack

__all__ = ["bucket"]
MOST, MORE = ScanQuotas().uploads_at_once, 4
LEASED = ScanQuotas().uploads_per_hour // 100
"""Uploads that a process may have counted already when the first one came."""
UseUp = Callable[[str, QuotaSettings, str, str], Awaitable[None]]


@pytest.fixture
def use_up(stack: RunningStack) -> UseUp:
    """Uses up a person's hourly quota of something at a service."""

    async def used(service: str, settings: QuotaSettings, quota: str, person: str) -> None:
        hourly = [rule for rule in settings.rules(quota) if rule.seconds == 3600]
        async with RedisServer(stack.redis, service) as redis:
            with suppress(TooManyRequests):  # some of the quota is used up
                await redis.limits.hit(hourly, quota, f"practitioner:{person}", sentence="", cost=hourly[0].amount)

    return used


async def kept(stack: RunningStack, bucket: EncryptedBucket, person: str) -> tuple[int, int]:
    """The person's scans: documents and originals."""
    async with mongo.connect(stack.mongo, "attachments") as database:
        folders = [one["folder"] async for one in database["attachments"].find({"practitioner_id": person})]
    originals = [await bucket.stat(f"{folder}/original") for folder in folders]
    return len(folders), len([one for one in originals if one])


async def test_many_scans_of_one_person_do_not_delay_the_checks_of_others(
    stack: RunningStack, processes: Processes, new_person: Callable[[], Person], bucket: EncryptedBucket
) -> None:
    attacker, neighbour = Uploader(new_person()), Uploader(new_person())
    records = [await attacker.record() for _ in range(MOST + MORE + 1)]
    before = set(await bucket.keys("scans/"))
    async with processes.down("attachments-worker"):
        flood = [attacker.send(each, scan(72, seed=7)) for each in records[:-1]]
        answers = await asyncio.gather(*flood)
        refused = [answer for answer in answers if answer.status_code != 202]
        assert len(refused) == MORE
        for answer in refused:
            retry_after_seconds(answer)
        another = problem(await attacker.send(records[-1], scan(72, seed=7)), 429, "too_many_requests")
        assert f"已有 {MOST} 份附件等待检查" in another["detail"]

        own = await neighbour.record()
        assert (await neighbour.send(own, scan(72, seed=8))).status_code == 202
        assert await kept(stack, bucket, attacker.id) == (MOST, MOST)
        assert len(set(await bucket.keys("scans/")) - before) == MOST + 1, "nothing of what was refused"
    assert (await neighbour.verdict(own, within=40))["state"] == "accepted"


async def test_uploads_and_downloads_are_limited(
    use_up: UseUp, new_person: Callable[[], Person], stack: RunningStack, gateway: httpx2.AsyncClient
) -> None:
    attacker, neighbour = Uploader(new_person()), Uploader(new_person())
    records, request = [await attacker.record() for _ in range(LEASED)], own_id()
    attachments = [(await each.judged(scan(72, seed=9)))["attachment_id"] for each in (attacker, neighbour)]
    for quota in ("uploads", "downloads"):
        await use_up("attachments", ScanQuotas(), quota, attacker.id)
    responses = [await attacker.send(record, scan(72, seed=10)) for record in records]
    retry_after_seconds(responses[-1])
    path = f"/api/attachments/attachments/{attachments[0]}/image"
    shown = await attacker.person.call("GET", path, headers={"X-Request-Id": request})
    retry_after_seconds(shown)
    assert (await neighbour.file(attachments[1])).status_code == 200
    event = await SecurityLog(stack, gateway).one(request)
    assert (event["outcome"], event["cause"]) == ("throttled", "limit_downloads")


async def test_record_writes_are_limited(use_up: UseUp, new_person: Callable[[], Person]) -> None:
    attacker, neighbour = new_person(), new_person()
    record = await attacker.created()
    await use_up("records", RecordQuotas(), "records", attacker.id)
    leased = RecordQuotas().records_per_hour // 100
    answers = [await attacker.create() for _ in range(leased)]
    assert [answer.status_code for answer in answers].count(201) < leased
    retry_after_seconds(answers[-1])
    assert (await neighbour.create()).status_code == 201
    assert (await attacker.get(record["record_id"])).status_code == 200, "who may not write may read"


async def test_concurrent_calls_are_all_admitted_up_to_the_limit(stack: RunningStack) -> None:
    settings, person = RecordQuotas(), own_id()
    hourly = settings.records_per_hour
    async with RedisServer(stack.redis, "records") as redis:
        quotas = Quotas(redis.limits, settings, {"records": ""})
        calls = [quotas.admit("records", "practitioner", person) for _ in range(hourly + 1)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(answer is None for answer in answers) == hourly
    assert isinstance(answers[-1], TooManyRequests)


async def test_exports_are_limited_and_the_page_has_the_time_to_wait(
    use_up: UseUp, window: Window, login_page: LoginPage, gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> None:
    member = await member_of(window, login_page, gateway, issuer)
    assert (await member.browsing.get("/account/download.json")).status_code == 200
    await use_up("portal", PortalQuotas(), "exports", member.citizen.id)
    for kind in ("json", "pdf", "zip"):
        page = await member.browsing.get(f"/account/download.{kind}")
        assert page.status_code == 429
        assert "导出和打印的次数过多，请在 " in page.text
        assert int(page.headers["Retry-After"]) > 0
    assert (await member.browsing.get("/account/download")).status_code == 200
