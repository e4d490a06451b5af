"""The operations on attachments: who may do what, and what is written."""

import hashlib
from contextlib import suppress
from functools import partial

from kit.core.clock import Clock
from kit.core.errors import AppError, Hidden, NotFound, NotYours, TooManyRequests
from kit.files.blobs import ChecksumMismatch
from kit.files.encrypted_bucket import EncryptedBucket
from kit.formats.images import is_jpeg
from kit.mongo import Conflict, Duplicate, retry_on_conflict
from kit.privacy.access_audit import AccessAudit
from kit.security.tokens import Caller
from services.attachments.domain import WITH_SCAN, Attachment, KnownRecord
from services.attachments.known_records import KnownRecords
from services.attachments.store import Attachments

SCOPE = "attachments:read"
ORIGINAL_SCOPE = "attachments:original"
WAIT_SECONDS = 10  # `Retry-After`: by then scans of the queue are usually checked
NO_RECORD = "record_not_found", "没有找到该记录，可能已被删除"


def _exists() -> AppError:
    return AppError(409, "attachment_exists", "该记录已有附件，重新上传请先删除已有附件")


class AttachmentService:
    """A person's scans: they upload and delete their own; reads by staff and clients are audited."""

    def __init__(
        self,
        attachments: Attachments,
        records: KnownRecords,
        bucket: EncryptedBucket,
        audit: AccessAudit,
        clock: Clock,
        max_waiting: int,
    ) -> None:
        self._attachments = attachments
        self._records = records
        self._bucket = bucket
        self._audit = audit
        self._clock = clock
        self._max_waiting = max_waiting

    async def check_upload(self, caller: Caller, token: str, record_id: str) -> KnownRecord:
        """The record, if a scan may be uploaded to it; checked before the file is read. Raises 404, 403, 409, 429."""
        if caller.kind != "practitioner":
            raise Hidden(*NO_RECORD)
        record = await self._records.find(record_id, token)
        if record is None or record.state == "deleted":
            raise NotFound(*NO_RECORD)
        if record.practitioner_id != caller.subject:
            raise NotYours(*NO_RECORD)
        if record.kind not in WITH_SCAN:
            raise AppError(403, "kind_without_attachment", "这类记录不需要上传附件")
        if await self._attachments.of_record(record_id):
            raise _exists()
        if await self._attachments.waiting(caller.subject, self._max_waiting) == self._max_waiting:
            raise TooManyRequests(WAIT_SECONDS, f"已有 {self._max_waiting} 份附件等待检查", "waiting")
        return record

    async def upload(self, caller: Caller, record: KnownRecord, title: str, content: bytes) -> Attachment:
        """Store the file, then its document: a crash between the two leaves an orphaned object, which is swept."""
        if not is_jpeg(content):
            raise AppError(415, "not_jpeg", "附件必须是 JPG 图片，请扫描为 JPG 格式后上传")
        now = self._clock.now()
        sealed = self._bucket.encrypts_new
        attachment = Attachment.uploaded(record, title, content, sealed=sealed, at=now, by=caller.label)
        await attachment.keep(attachment.original, content, "image/jpeg", self._bucket)
        try:
            await self._attachments.insert(attachment)
        except Duplicate:
            await self._bucket.discard(attachment.original)
            raise _exists() from None
        await self._delete_if_record_is_gone(attachment)
        return attachment

    async def _delete_if_record_is_gone(self, attachment: Attachment) -> None:
        """Delete the attachment if its record was deleted during the upload: that event found no attachment."""
        record = await self._records.get(attachment.record_id)
        if record and record.state == "deleted":
            await self._delete(attachment.id, "service:attachments")
            raise NotFound(*NO_RECORD)

    async def of_record(self, caller: Caller, record_id: str) -> tuple[Attachment, bool | None]:
        """The record's attachment; and for staff and clients, whether another person uploaded the same file."""
        attachment = await self._attachments.of_record(record_id)
        if attachment is None:
            raise NotFound
        await self._audit.authorize_read(caller, attachment.practitioner_id, SCOPE, "attachment", attachment.id)
        if caller.kind == "practitioner":
            return await self._seen(caller, attachment), None
        return attachment, await self._attachments.used_by_another(attachment.sha256, attachment.practitioner_id)

    async def _seen(self, caller: Caller, attachment: Attachment) -> Attachment:
        """Store that the owner has seen the refusal, once: no notice is sent then."""
        if attachment.state != "refused" or attachment.seen:
            return attachment
        seen = attachment.seen_by_owner(at=self._clock.now(), by=caller.label)
        with suppress(Conflict):  # deleted meanwhile, or seen on another page
            await self._attachments.replace(seen)
        return seen

    async def image(self, caller: Caller, attachment_id: str) -> bytes:
        """The clean copy. Raises `NotFound`, also for a scan that is not accepted."""
        attachment = await self._accepted(caller, attachment_id)
        return await attachment.file(attachment.image, self._bucket)

    async def thumbnail(self, caller: Caller, attachment_id: str) -> bytes:
        """The thumbnail of the clean copy. Raises `NotFound`."""
        attachment = await self._accepted(caller, attachment_id)
        return await attachment.file(attachment.thumbnail, self._bucket)

    async def original(self, caller: Caller, attachment_id: str) -> bytes:
        """The uploaded file, whatever its verdict. Raises 403, `NotFound`, `ChecksumMismatch`."""
        caller.require(scope=ORIGINAL_SCOPE)
        attachment = await self._attachments.get(attachment_id)
        if attachment is None:
            raise NotFound
        await self._audit.authorize_read(
            caller, attachment.practitioner_id, ORIGINAL_SCOPE, "attachment", attachment_id
        )
        content = await attachment.file(attachment.original, self._bucket)
        if hashlib.sha256(content).hexdigest() != attachment.sha256:
            raise ChecksumMismatch(attachment.original)
        return content

    async def _accepted(self, caller: Caller, attachment_id: str) -> Attachment:
        attachment = await self._attachments.get(attachment_id)
        if attachment is None:
            raise NotFound
        await self._audit.authorize_read(caller, attachment.practitioner_id, SCOPE, "attachment", attachment_id)
        if attachment.state != "accepted":
            raise NotFound
        return attachment

    async def delete(self, caller: Caller, record_id: str) -> None:
        """Delete the record's attachment; the worker removes its files. Raises `NotFound`."""
        attachment = await self._attachments.of_record(record_id)
        if attachment is None:
            raise NotFound
        caller.own(attachment.practitioner_id)
        await self._delete(attachment.id, caller.label)

    async def _delete(self, attachment_id: str, by: str) -> None:
        await retry_on_conflict(partial(self._try_to_delete, attachment_id, by))  # the verdict may come meanwhile

    async def _try_to_delete(self, attachment_id: str, by: str) -> None:
        if attachment := await self._attachments.get(attachment_id):
            await self._attachments.replace(attachment.deleted(at=self._clock.now(), by=by))

    async def note_record(self, record: KnownRecord) -> None:
        """Store a record's state; a deleted record's attachment is deleted too."""
        await self._records.note(record)
        if record.state == "deleted" and (attachment := await self._attachments.of_record(record.record_id)):
            await self._delete(attachment.id, "service:records")
