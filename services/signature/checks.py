"""The check of a signed sheet, after the upload was answered: read in the sandbox, judged, stored."""

import asyncio

from kit.core.clock import Clock
from kit.files.documents import read_original, retry_once
from kit.files.encrypted_bucket import EncryptedBucket
from kit.formats.images import BadImage
from kit.formats.sheets import CutBox, ScannedSheet, SheetReader
from kit.mongo import Conflict
from kit.observability import log, metrics
from services.signature.domain import Rules, Signature, Verdict, judge, refused, sheet_fault
from services.signature.people import KnownPeople
from services.signature.sheets.layout import LAYOUT, sheet_id_of
from services.signature.store import Signatures, SignatureSheets

BY = "service:signature"
logger = log.get(__name__)


class Checks:
    """Handles the service's own events; every step is idempotent."""

    def __init__(
        self,
        signatures: Signatures,
        sheets: SignatureSheets,
        people: KnownPeople,
        bucket: EncryptedBucket,
        reader: SheetReader,
        key: bytes,
        rules: Rules,
        clock: Clock,
    ) -> None:
        self._signatures = signatures
        self._sheets = sheets
        self._people = people
        self._bucket = bucket
        self._reader = reader
        self._key = key
        self._rules = rules
        self._clock = clock
        metrics.initialise(metrics.uploads_checked, ["signature"], ["accepted", "refused"])
        self._took = metrics.upload_verdict_seconds.labels("signature")

    async def check(self, signature_id: str) -> None:
        """Check a signature in the state `checking` and store its verdict. Raises `Unavailable`."""
        signature = await self._signatures.get(signature_id)
        if signature is None or signature.state != "checking":
            return
        judged = signature.judged(await self._verdict(signature), at=self._clock.now(), by=BY)
        if await self._replaced(judged):
            metrics.uploads_checked.labels("signature", judged.state).inc()
            self._took.observe((judged.updated_at - signature.updated_at).total_seconds())

    async def _replaced(self, version: Signature) -> bool:
        """Store the version; False if another one was stored first."""
        try:
            await self._signatures.replace(version)
        except Conflict:  # judged by another worker, whose event is still to come
            logger.info("verdict discarded", signature=version.id)
            return False
        return True

    async def _verdict(self, signature: Signature) -> Verdict:
        content = await read_original(signature, self._bucket)
        if content is None:
            return refused("lost")
        try:
            scan = await retry_once(lambda: self._reader.read(content, LAYOUT))
        except BadImage as error:
            return refused(error.code)
        return await self._judge(signature, scan) if scan else refused("check_failed")

    async def _judge(self, signature: Signature, scan: ScannedSheet) -> Verdict:
        if scan.text is None:
            return refused("sheet_not_found")
        form_id = sheet_id_of(scan.text, self._key)
        sheet = await self._sheets.get(form_id) if form_id else None
        person = signature.practitioner_id
        identified = await self._people.identified(person)
        if fault := sheet_fault(sheet, person, identified, signature.created_at):
            return refused(fault, form_id if fault != "sheet_of_another" else None)
        verdict = judge(str(form_id), scan.cut, self._rules)
        if verdict.state == "accepted" and scan.cut and scan.page:
            await self._keep(signature, scan.page, scan.cut)
        return verdict

    async def _keep(self, signature: Signature, page: bytes, cut: CutBox) -> None:
        await asyncio.gather(
            signature.keep(signature.scan, page, "image/jpeg", self._bucket),
            signature.keep(signature.image, cut.image, "image/png", self._bucket),
        )

    async def replace_older(self, practitioner_id: str) -> None:
        """After a verdict, replace the person's judged signatures except the newest and the one in force."""
        judged = [one for one in await self._signatures.of_person(practitioner_id) if one.state != "checking"]
        in_force = next((one for one in judged if one.state == "accepted"), None)
        for one in judged[1:]:
            if one != in_force and (current := await self._signatures.get(one.id)):
                await self._replaced(current.replaced(at=self._clock.now(), by=BY))

    async def remove_files(self, signature_id: str) -> None:
        """Remove the files of a replaced signature from the bucket."""
        signature = await self._signatures.get(signature_id)
        if signature is None or signature.state != "replaced":
            return
        for key in (signature.original, signature.scan, signature.image):
            await self._bucket.delete(key)
