"""Photos and other files that break the rules for scans, corrected for people whose browser can't do it.

A corrected scan is kept for an hour, encrypted with its owner's id; no document refers to it.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from kit.core.clock import Clock
from kit.core.errors import Hidden, NotFound, NotYours, Overloaded
from kit.core.ids import secret_id
from kit.files.blobs import Bucket
from kit.files.documents import Remark
from kit.files.encrypted_bucket import EncryptedBucket
from kit.formats.images import BadImage, Images, format_of
from kit.formats.photos.correction import Correction, Photos, ScanLimits
from kit.security.tokens import Caller
from services.attachments.domain import NOT_IMAGES, Rules, judge, unreadable

FOLDER = "corrections"
KEPT = timedelta(hours=1)
CLEANING_SECONDS = 600.0
END = b"\n"
"""Between the owner's id and the image in an object."""
EXPIRED = "correction_not_found", "处理后的图片已过期，请重新选择照片"


@dataclass(frozen=True)
class CorrectedScan:
    """A corrected scan and the remarks that its check would give."""

    id: str
    correction: Correction
    remarks: list[Remark]


class Corrections:
    """Corrects files, `at_once` at a time: each takes a second of a processor and up to 400 MB."""

    def __init__(self, photos: Photos, images: Images, bucket: EncryptedBucket, rules: Rules, at_once: int) -> None:
        self._photos, self._images = photos, images
        self._bucket = bucket
        self._rules = rules
        self._free = asyncio.Semaphore(at_once)

    def check(self, caller: Caller) -> None:
        """Raise 404 for callers who upload no scans, before a file is read."""
        if caller.kind != "practitioner":
            raise Hidden(*EXPIRED)

    async def correct(self, caller: Caller, content: bytes) -> CorrectedScan:
        """Make a scan of the file and keep it. Raises 415, 422, `Overloaded`, `Unavailable`."""
        kind = format_of(content) or "not_image"
        if kind in NOT_IMAGES:
            raise unreadable(kind)
        if self._free.locked():
            raise Overloaded
        async with self._free:
            made, remarks = await self._corrected(content)
        corrected = CorrectedScan(secret_id(), made, remarks)
        await self._bucket.put(_key(corrected.id), caller.subject.encode() + END + made.image, "image/jpeg")
        return corrected

    async def _corrected(self, content: bytes) -> tuple[Correction, list[Remark]]:
        rules = self._rules
        try:
            made = await self._photos.correct(content, ScanLimits(rules.limit_bytes, rules.least_dpi, rules.most_dpi))
            verdict = judge(await self._images.scan(made.image), rules)
        except BadImage as error:
            raise unreadable(error.code) from error
        return made, [*verdict.reasons, *verdict.warnings]

    async def image(self, caller: Caller, correction_id: str) -> bytes:
        """A corrected scan of the caller. Raises `NotFound`, also for another person's."""
        self.check(caller)
        content = await self._bucket.get(_key(correction_id))
        if content is None:
            raise NotFound(*EXPIRED)
        owner, _, image = content.partition(END)
        if owner != caller.subject.encode():
            raise NotYours(*EXPIRED)
        return image


def _key(correction_id: str) -> str:
    return f"{FOLDER}/{correction_id}"


async def remove_old(bucket: Bucket, clock: Clock) -> None:
    """Remove corrected scans that were made more than `KEPT` ago."""
    for key, old in (await bucket.older(f"{FOLDER}/", clock.now() - KEPT)).items():
        if old:
            await bucket.delete(key)
