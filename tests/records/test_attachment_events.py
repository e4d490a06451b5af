"""A record follows its scan: told twice is once, and older never beats newer."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from contracts.access import READERS
from contracts.attachments import AttachmentChanged
from contracts.records import Reason
from kit import mongo
from kit.core.clock import SystemClock
from kit.privacy.access_audit import AccessAudit
from services.records.service import RecordService
from services.records.store import Records
from tests.support.identity_clients import at_once
from tests.support.names import own_id
from tests.support.people import EDUCATION, Person
from tests.support.stack import RunningStack

BEGAN = datetime.now(UTC)
BLUR = Reason(code="damaged", message="文件已损坏，请重新扫描后上传")


@pytest_asyncio.fixture
async def service(stack: RunningStack) -> AsyncIterator[RecordService]:
    clock = SystemClock()
    async with mongo.connect(stack.mongo, "records") as database:
        yield RecordService(Records(database), AccessAudit(database, clock, READERS), clock)


def told(record: dict[str, Any], attachment_id: str, version: int, state: str, minute: int) -> AttachmentChanged:
    return AttachmentChanged.model_validate(
        {
            "practitioner_id": record["practitioner_id"], "version": version, "action": state, "changed": ["state"],
            "at": BEGAN + timedelta(minutes=minute), "attachment_id": attachment_id, "record_id": record["record_id"],
            "kind": "education", "state": state, "title": "证书", "reasons": [BLUR] if state == "refused" else [],
            "warnings": [], "sha256": "0", "size": 1, "width": None, "height": None, "dpi": None,
        }
    )  # fmt: skip


async def shown(person: Person, record: dict[str, Any]) -> tuple[int, Any]:
    found = (await person.get(record["record_id"])).json()
    return found["version"], found["attachment"] and (
        found["attachment"]["attachment_id"],
        found["attachment"]["state"],
    )


async def test_told_twice_or_out_of_order_the_newest_stands(person: Person, service: RecordService) -> None:
    record, first, second = await person.created(), own_id(), own_id()
    checking, refused = told(record, first, 1, "checking", 0), told(record, first, 2, "refused", 1)
    gone, next_one = told(record, first, 3, "deleted", 2), told(record, second, 1, "checking", 3)
    of_first, of_second = (first, "refused"), (second, "checking")
    for event, expected in (
        (checking, (2, (first, "checking"))), (checking, (2, (first, "checking"))), (refused, (3, of_first)),
        (checking, (3, of_first)), (gone, (4, None)), (refused, (4, None)), (next_one, (5, of_second)),
        (refused, (5, of_second)), (gone, (5, of_second)),
    ):  # fmt: skip
        await service.follow(event)
        assert await shown(person, record) == expected
    history = (await person.history(record["record_id"])).json()["items"]
    assert [entry["by"] for entry in history[1:]] == ["service:attachments"] * 4
    assert [[change["field"] for change in entry["changes"]] for entry in history[1:]] == [["attachment"]] * 4


async def test_that_its_owner_saw_the_verdict_is_no_version_of_a_record(person: Person, service: RecordService) -> None:
    """Or the form that they are about to save would be out of date."""
    record, attachment_id = await person.created(), own_id()
    refused = told(record, attachment_id, 2, "refused", 1)
    seen = told(record, attachment_id, 3, "refused", 2).model_copy(update={"seen": True})
    for event in (refused, seen, refused, seen):
        await service.follow(event)
        assert await shown(person, record) == (2, (attachment_id, "refused"))
    await service.follow(told(record, attachment_id, 4, "deleted", 3))
    assert await shown(person, record) == (3, None)


async def test_a_scan_that_is_gone_does_not_come_back_with_its_dead_letters(
    person: Person, service: RecordService
) -> None:
    record, attachment_id = await person.created(), own_id()
    refused = told(record, attachment_id, 2, "refused", 1)
    seen = told(record, attachment_id, 3, "refused", 2).model_copy(update={"seen": True})
    gone = told(record, attachment_id, 4, "deleted", 3).model_copy(update={"seen": True})
    for event in (gone, refused, seen):
        await service.follow(event)
        assert await shown(person, record) == (2, None)


async def test_whoever_changes_the_record_meanwhile_loses_nothing(person: Person, service: RecordService) -> None:
    record, attachment_id = await person.created(), own_id()

    async def follow(version: int) -> None:
        await service.follow(told(record, attachment_id, version, "checking", version))

    answers = await at_once(
        person.change(record["record_id"], 1, EDUCATION | {"major": "桥梁"}), *(follow(n) for n in range(1, 6))
    )
    assert answers[0].status_code in (200, 412)
    version, attachment = await shown(person, record)
    assert attachment == (attachment_id, "checking")
    assert version <= 7


@pytest.mark.parametrize("state", ["checking", "accepted", "deleted"])
async def test_a_record_that_is_gone_stays_gone(person: Person, service: RecordService, state: str) -> None:
    record = await person.created()
    assert (await person.delete(record["record_id"], 1)).status_code == 204
    await service.follow(told(record, own_id(), 1, state, 0))
    await service.follow(told(record | {"record_id": own_id()}, own_id(), 1, state, 0))
    assert (await person.get(record["record_id"])).status_code == 404
