"""Orphaned objects and documents of a crash are removed; those in use, or new, stay."""

from datetime import UTC, datetime, timedelta

from kit import mongo
from kit.core.clock import ManualClock
from kit.files.blobs import Bucket
from kit.files.sweeper import Sweeper
from services.attachments.domain import FOLDERS, Attachment
from services.attachments.store import Attachments
from tests.attachments.conftest import Uploader
from tests.support.scans import scan
from tests.support.stack import RunningStack

PART = len(FOLDERS) + 4


async def test_files_without_a_document_go_and_others_stay(
    uploader: Uploader, bucket: Bucket, stack: RunningStack
) -> None:
    record_id = await uploader.record()
    attachment_id = (await uploader.sent(record_id, scan(72)))["attachment_id"]
    await uploader.verdict(record_id)
    left = Attachment.new_folder()
    await bucket.put(f"{left}/original", b"left behind", "image/jpeg")
    async with mongo.connect(stack.mongo, "attachments") as database:
        attachments = Attachments(database)
        kept = await attachments.get(attachment_id)
        assert kept is not None
        for part in {left[:PART], kept.folder[:PART]}:
            await Sweeper(FOLDERS, attachments.with_folder_prefix, bucket, ManualClock(datetime.now(UTC))).sweep(part)
            assert len(await bucket.keys(part)) > 0
            await Sweeper(
                FOLDERS, attachments.with_folder_prefix, bucket, ManualClock(datetime.now(UTC) + timedelta(days=2))
            ).sweep(part)
    assert await bucket.keys(left) == []
    assert len(await bucket.keys(kept.folder)) == 3
    assert (await uploader.file(attachment_id)).status_code == 200
