"""Clients that upload scans: each scan must get the verdict that it deserves."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from random import Random

from tests.support.scans import scan
from tests.sweep.answers import has_status, pause_before_retry
from tests.sweep.history import NEVER, Upload
from tests.sweep.writers import Dossier, Dossiers, Writer

SCANS_OF_A_PERSON = 150
"""A person's quota is 300 uploads an hour."""
BAD = 0.2
"""The share of scans that break a rule: 300 dpi."""
TRIES_SECONDS = 60


@cache
def _page(good: bool) -> bytes:
    return scan(72, quality=40) if good else scan(72, quality=40, density=(300, 300))


def unique_scan(good: bool, text: str) -> bytes:
    """A scan whose bytes no other scan has: `text` is a comment in it."""
    page, comment = _page(good), text.encode()
    return page[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + page[2:]


@dataclass
class Uploader:
    """A client that creates a record, which nobody edits, and uploads its scan; some scans are bad."""

    writer: Writer
    dossiers: Dossiers
    random: Random
    _scans: int = 0
    _dossier: Dossier = field(init=False)

    def __post_init__(self) -> None:
        self._dossier = Dossier(self.dossiers.new_person())

    async def act(self) -> None:
        """One record and its scan."""
        self._scans += 1
        if self._scans % SCANS_OF_A_PERSON == 0:
            self._dossier = Dossier(self.dossiers.new_person())
        if record := await self.writer.create(self._dossier):
            await self._upload(record)

    async def _upload(self, record: str) -> None:
        good = self.random.random() >= BAD
        content = unique_scan(good, record)
        invoked, acknowledged = time.monotonic(), False
        while not acknowledged and time.monotonic() - invoked < TRIES_SECONDS:
            acknowledged = await self._sent(record, content)
        sha256, returned = hashlib.sha256(content).hexdigest(), time.monotonic() if acknowledged else NEVER
        person = self._dossier.person.id
        self.writer.history.add(Upload(person, record, sha256, good, acknowledged, invoked, returned))

    async def _sent(self, record: str, content: bytes) -> bool:
        """Whether the upload is acknowledged: 202, or 409 after an attempt without an answer."""
        form: Mapping[str, object] = {
            "files": {"file": ("scan.jpg", content, "image/jpeg")}, "data": {"title": "学历证书扫描件"},
        }  # fmt: skip
        path = f"/api/attachments/records/{record}/attachment"
        answer = await self.writer.answers.ask(self._dossier.person.call("POST", path, **form), 202, 409, 429)
        if has_status(answer, 202) or has_status(answer, 409):
            return True
        await pause_before_retry(answer)
        return False
