"""A record's copy of its scan: events are handled idempotently, an older one never replaces a newer one."""

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


def attachment_event(
    record: dict[str, Any], attachment_id: str, version: int, state: str, minute: int
) -> AttachmentChanged:
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


async def test_of_repeated_or_reordered_events_the_newest_stays(person: Person, service: RecordService) -> None:
    record, first, second = await person.created(), own_id(), own_id()
    checking, refused = (
        attachment_event(record, first, 1, "checking", 0),
        attachment_event(record, first, 2, "refused", 1),
    )
    gone, next_one = (
        attachment_event(record, first, 3, "deleted", 2),
        attachment_event(record, second, 1, "checking", 3),
    )
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


async def test_a_seen_verdict_makes_no_version_of_the_record(person: Person, service: RecordService) -> None:
    """Otherwise the form that they are about to save would be outdated."""
    record, attachment_id = await person.created(), own_id()
    refused = attachment_event(record, attachment_id, 2, "refused", 1)
    seen = attachment_event(record, attachment_id, 3, "refused", 2).model_copy(update={"seen": True})
    for event in (refused, seen, refused, seen):
        await service.follow(event)
        assert await shown(person, record) == (2, (attachment_id, "refused"))
    await service.follow(attachment_event(record, attachment_id, 4, "deleted", 3))
    assert await shown(person, record) == (3, None)


async def test_dead_letters_of_a_deleted_scan_do_not_restore_it(person: Person, service: RecordService) -> None:
    record, attachment_id = await person.created(), own_id()
    refused = attachment_event(record, attachment_id, 2, "refused", 1)
    seen = attachment_event(record, attachment_id, 3, "refused", 2).model_copy(update={"seen": True})
    gone = attachment_event(record, attachment_id, 4, "deleted", 3).model_copy(update={"seen": True})
    for event in (gone, refused, seen):
        await service.follow(event)
        assert await shown(person, record) == (2, None)


async def test_concurrent_changes_of_the_record_are_not_lost(person: Person, service: RecordService) -> None:
    record, attachment_id = await person.created(), own_id()

    async def follow(version: int) -> None:
        await service.follow(attachment_event(record, attachment_id, version, "checking", version))

    answers = await at_once(
        person.change(record["record_id"], 1, EDUCATION | {"major": "桥梁"}), *(follow(n) for n in range(1, 6))
    )
    assert answers[0].status_code in (200, 412)
    version, attachment = await shown(person, record)
    assert attachment == (attachment_id, "checking")
    assert version <= 7


@pytest.mark.parametrize("state", ["checking", "accepted", "deleted"])
async def test_a_deleted_record_stays_deleted(person: Person, service: RecordService, state: str) -> None:
    record = await person.created()
    assert (await person.delete(record["record_id"], 1)).status_code == 204
    await service.follow(attachment_event(record, own_id(), 1, state, 0))
    await service.follow(attachment_event(record | {"record_id": own_id()}, own_id(), 1, state, 0))
    assert (await person.get(record["record_id"])).status_code == 404
