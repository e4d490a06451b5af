"""The operations on signatures: upload and read."""

from contextlib import suppress

from kit.core.clock import Clock
from kit.core.errors import AppError, Hidden, NotFound
from kit.files.encrypted_bucket import EncryptedBucket
from kit.formats.images import is_jpeg
from kit.mongo import Conflict, Duplicate
from kit.privacy.access_audit import AccessAudit
from kit.security.tokens import Caller
from services.signature.domain import Signature
from services.signature.sheets.service import SCOPE
from services.signature.store import Signatures


def _being_checked() -> AppError:
    return AppError(409, "signature_being_checked", "上一份采集表正在检查，请等检查结束后再上传")


class SignatureService:
    """A person's signature: they upload their own; reads by staff and clients are audited."""

    def __init__(self, signatures: Signatures, bucket: EncryptedBucket, audit: AccessAudit, clock: Clock) -> None:
        self._signatures = signatures
        self._bucket = bucket
        self._audit = audit
        self._clock = clock

    async def check_upload(self, caller: Caller) -> str:
        """The person's id, if they may upload now; checked before the file is read. Raises `Hidden`, 409."""
        if caller.kind != "practitioner":
            raise Hidden
        if any(one.state == "checking" for one in await self._signatures.of_person(caller.subject)):
            raise _being_checked()
        return caller.subject

    async def upload(self, caller: Caller, practitioner_id: str, content: bytes) -> Signature:
        """Store the file, then its document: a crash between the two leaves an orphaned object, which is swept."""
        if not is_jpeg(content):
            raise AppError(415, "not_jpeg", "采集表必须是 JPG 图片，请扫描或拍照为 JPG 格式后上传")
        now = self._clock.now()
        sealed = self._bucket.encrypts_new
        signature = Signature.uploaded(practitioner_id, content, sealed=sealed, at=now, by=caller.label)
        await signature.keep(signature.original, content, "image/jpeg", self._bucket)
        try:
            await self._signatures.insert(signature)
        except Duplicate:
            await self._bucket.discard(signature.original)
            raise _being_checked() from None
        return signature

    async def of_person(self, caller: Caller, person: str) -> tuple[Signature | None, Signature | None]:
        """The signature that was uploaded last, and the one in force: the newest that was accepted."""
        found = await self._of(caller, person)
        if caller.kind == "practitioner" and found and found[0].state == "refused" and not found[0].seen:
            await self._see(caller, found[0].id)
        return (found[0] if found else None), _in_force(found)

    async def _see(self, caller: Caller, signature_id: str) -> None:
        """Store that the owner has seen the refusal, once: no notice is sent then."""
        signature = await self._signatures.get(signature_id)
        if signature is None or signature.state != "refused" or signature.seen:
            return
        with suppress(Conflict):  # replaced meanwhile, or seen on another page
            await self._signatures.replace(signature.seen_by_owner(at=self._clock.now(), by=caller.label))

    async def scan(self, caller: Caller, person: str) -> bytes:
        """The straightened page of the signature in force. Raises `NotFound`."""
        signature = await self._accepted(caller, person)
        return await signature.file(signature.scan, self._bucket)

    async def image(self, caller: Caller, person: str) -> bytes:
        """The image of the signature in force: a PNG with a transparent background. Raises `NotFound`."""
        signature = await self._accepted(caller, person)
        return await signature.file(signature.image, self._bucket)

    async def _of(self, caller: Caller, person: str) -> list[Signature]:
        owner = await self._audit.authorize_read(caller, person, SCOPE, "signature", person)
        return await self._signatures.of_person(owner)

    async def _accepted(self, caller: Caller, person: str) -> Signature:
        signature = _in_force(await self._of(caller, person))
        if signature is None:
            raise NotFound
        return signature


def _in_force(newest_first: list[Signature]) -> Signature | None:
    return next((one for one in newest_first if one.state == "accepted"), None)
