"""The check of a signed sheet, behind the answer to who uploaded it: read in the sandbox, judged, written down."""

import asyncio

from kit.core.clock import Clock
from kit.files.documents import read_original, retry_once
from kit.files.encrypted_bucket import EncryptedBucket
from kit.formats.images import BadImage
from kit.formats.sheets import CutBox, ScannedSheet, SheetReader
from kit.mongo import Conflict
from kit.observability import log, metrics
from services.signature.domain import Rules, Signature, Verdict, form_fault, judge, refused
from services.signature.form.layout import LAYOUT, form_of
from services.signature.people import KnownPeople
from services.signature.store import Signatures, SignatureSheets

BY = "service:signature"
logger = log.get(__name__)


class Checks:
    """Handles what the service told itself; each step may be done twice."""

    def __init__(
        self,
        signatures: Signatures,
        forms: SignatureSheets,
        people: KnownPeople,
        bucket: EncryptedBucket,
        sheets: SheetReader,
        key: bytes,
        rules: Rules,
        clock: Clock,
    ) -> None:
        self._signatures, self._forms, self._people, self._bucket = signatures, forms, people, bucket
        self._sheets, self._key, self._rules, self._clock = sheets, key, rules, clock
        metrics.initialise(metrics.uploads_checked, ["signature"], ["accepted", "refused"])

    async def check(self, signature_id: str) -> None:
        """Bring a signature that is `checking` to its verdict. Raises `Unavailable` while a server is away."""
        signature = await self._signatures.get(signature_id)
        if signature is None or signature.state != "checking":
            return
        verdict = await self._verdict(signature)
        if await self._written(signature.judged(verdict, at=self._clock.now(), by=BY)):
            metrics.uploads_checked.labels("signature", verdict.state).inc()

    async def _written(self, version: Signature) -> bool:
        """Write it down; False when something else is written there already."""
        try:
            await self._signatures.replace(version)
        except Conflict:  # another worker was quicker: what was told of that is still to come
            logger.info("verdict discarded", signature=version.id)
            return False
        return True

    async def _verdict(self, signature: Signature) -> Verdict:
        content = await read_original(signature, self._bucket)
        if content is None:
            return refused("lost")
        try:
            sheet = await retry_once(lambda: self._sheets.read(content, LAYOUT))
        except BadImage as error:
            return refused(error.code)
        return await self._judged(signature, sheet) if sheet else refused("check_failed")

    async def _judged(self, signature: Signature, sheet: ScannedSheet) -> Verdict:
        if sheet.text is None:
            return refused("sheet_not_found")
        form_id = form_of(sheet.text, self._key)
        form = await self._forms.get(form_id) if form_id else None
        person = signature.practitioner_id
        identified = await self._people.identified(person)
        if fault := form_fault(form, person, identified, signature.created_at):
            return refused(fault, form_id if fault != "sheet_of_another" else None)
        verdict = judge(str(form_id), sheet.cut, self._rules)
        if verdict.state == "accepted" and sheet.cut and sheet.page:
            await self._keep(signature, sheet.page, sheet.cut)
        return verdict

    async def _keep(self, signature: Signature, page: bytes, cut: CutBox) -> None:
        await asyncio.gather(
            signature.keep(signature.scan, page, "image/jpeg", self._bucket),
            signature.keep(signature.image, cut.image, "image/png", self._bucket),
        )

    async def settle(self, practitioner_id: str) -> None:
        """After a verdict: what is neither the newest nor in force is replaced."""
        judged = [one for one in await self._signatures.of_person(practitioner_id) if one.state != "checking"]
        in_force = next((one for one in judged if one.state == "accepted"), None)
        for one in judged[1:]:
            if one != in_force and (current := await self._signatures.get(one.id)):
                await self._written(current.replaced(at=self._clock.now(), by=BY))

    async def remove_files(self, signature_id: str) -> None:
        """Nothing of a replaced signature stays in the bucket."""
        signature = await self._signatures.get(signature_id)
        if signature is None or signature.state != "replaced":
            return
        for key in (signature.original, signature.scan, signature.image):
            await self._bucket.delete(key)
