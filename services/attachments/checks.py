"""The check of a scan, after the upload was answered: measured in the sandbox, judged, stored."""

import asyncio

from kit.core.clock import Clock
from kit.files.documents import read_original, retry_once
from kit.files.encrypted_bucket import EncryptedBucket
from kit.formats.images import BadImage, Images, Scan
from kit.mongo import Conflict
from kit.observability import log, metrics
from services.attachments.domain import Attachment, Rules, Verdict, faulty, judge
from services.attachments.store import Attachments

BY = "service:attachments"
logger = log.get(__name__)


class Checks:
    """Handles the service's own events; every step is idempotent."""

    def __init__(
        self, attachments: Attachments, bucket: EncryptedBucket, images: Images, rules: Rules, clock: Clock
    ) -> None:
        self._attachments = attachments
        self._bucket = bucket
        self._images = images
        self._rules = rules
        self._clock = clock
        metrics.initialise(metrics.uploads_checked, ["attachment"], ["accepted", "refused"])
        self._took = metrics.upload_verdict_seconds.labels("attachment")

    async def check(self, attachment_id: str) -> None:
        """Check an attachment in the state `checking` and store its verdict. Raises `Unavailable`."""
        attachment = await self._attachments.any_state(attachment_id)
        if attachment is None or attachment.state != "checking":
            return
        judged = attachment.judged(await self._verdict(attachment), at=self._clock.now(), by=BY)
        try:
            await self._attachments.replace(judged)
        except Conflict:  # deleted meanwhile, or judged by another worker, whose event is still to come
            logger.info("verdict discarded", attachment=attachment_id)
        else:
            metrics.uploads_checked.labels("attachment", judged.state).inc()
            self._took.observe((judged.updated_at - attachment.updated_at).total_seconds())

    async def _verdict(self, attachment: Attachment) -> Verdict:
        content = await read_original(attachment, self._bucket)
        if content is None:
            return faulty("lost")
        try:
            scan = await retry_once(lambda: self._images.scan(content))
        except BadImage as error:
            return faulty(error.code)
        if scan is None:
            return faulty("check_failed")
        await self._keep(attachment, scan)
        return judge(scan, self._rules)

    async def _keep(self, attachment: Attachment, scan: Scan) -> None:
        await asyncio.gather(
            attachment.keep(attachment.image, scan.image, "image/jpeg", self._bucket),
            attachment.keep(attachment.thumbnail, scan.thumbnail, "image/jpeg", self._bucket),
        )

    async def remove_files(self, attachment_id: str) -> None:
        """Remove the files of a deleted scan from the bucket."""
        attachment = await self._attachments.any_state(attachment_id)
        if attachment is None or attachment.state != "deleted":
            return
        for key in (attachment.original, attachment.image, attachment.thumbnail):
            await self._bucket.delete(key)
