"""Portraits: re-encoded, encrypted, and stored in the person's folder of the bucket."""

import hashlib

from kit.core.errors import InvalidFields, NotFound
from kit.core.ids import secret_id
from kit.files.blobs import Bucket
from kit.formats.images import BadImage, Images
from kit.security.encryption import Cipher
from services.identity.practitioners.domain import Portrait, Practitioner
from services.identity.practitioners.portrait_folders import new_folder

MAX_SIDE = 640
"""Pixels; the portrait on a card has 358 × 441."""
SENTENCES = {"too_many_pixels": "照片尺寸过大，请重新拍摄", "too_costly": "照片内容无法处理，请重新读卡或拍摄"}
UNREADABLE = "照片已损坏，请重新读卡或拍摄"


class Portraits:
    """Stores and reads portraits. Object keys contain no personal data, and the content is encrypted."""

    def __init__(self, bucket: Bucket, images: Images, cipher: Cipher) -> None:
        self._bucket = bucket
        self._images = images
        self._cipher = cipher

    async def store(self, person_id: str, sent: bytes | None, known: Practitioner | None = None) -> Portrait | None:
        """Store a portrait, to be written in the document next; None when there is no new one.

        A crash in between leaves an orphaned object, never a document without its object. The sweeper removes it from
        a new folder, an erasure from the person's own folder. Raises 422 for an invalid image, `Unavailable`.
        """
        if sent is None:
            return None
        came_as = hashlib.sha256(sent).hexdigest()
        if known and known.portrait_came_as == came_as:
            return None
        clean, folder = await self._clean(sent), (known.folder if known else "") or new_folder()
        key = f"{folder}/{secret_id()}"
        encrypted = self._cipher.encrypt_bytes(clean, f"portrait:{person_id}")
        await self._bucket.put(key, encrypted, "application/octet-stream")
        return Portrait(folder, key, hashlib.sha256(clean).hexdigest(), came_as)

    async def discard(self, portrait: Portrait | None) -> None:
        """Remove the portrait that `store` stored for a document that was not written."""
        if portrait:
            await self._bucket.discard(portrait.portrait_key)

    async def _clean(self, sent: bytes) -> bytes:
        try:
            return await self._images.reencode(sent, MAX_SIDE)
        except BadImage as error:
            raise InvalidFields.one("portrait", error.code, SENTENCES.get(error.code, UNREADABLE)) from error

    async def read(self, person: Practitioner | None) -> bytes:
        """The portrait as JPEG. Raises `NotFound`."""
        if person is None or person.portrait_key is None:
            raise NotFound
        encrypted = await self._bucket.named(person.portrait_key)
        return self._cipher.decrypt_bytes(encrypted, f"portrait:{person.id}")
