"""Portraits: made anew from what the window sent, sealed, in the bucket, in a folder of the person's own."""

import hashlib

from kit.core.errors import InvalidFields, NotFound
from kit.core.ids import secret_id
from kit.files.blobs import Bucket
from kit.formats.images import BadImage, Images
from kit.security.encryption import Cipher
from services.identity.practitioners.domain import Portrait, Practitioner
from services.identity.practitioners.portrait_folders import new_folder

MAX_SIDE = 640
"""Pixels; a card's picture has 358 × 441."""
SENTENCES = {"too_many_pixels": "照片尺寸过大，请重新拍摄", "too_costly": "照片内容无法处理，请重新读卡或拍摄"}
UNREADABLE = "照片已损坏，请重新读卡或拍摄"


class Portraits:
    """Keeps and shows portraits. Nothing about a person stands in a key or outside the seal."""

    def __init__(self, bucket: Bucket, images: Images, sealer: Cipher) -> None:
        self._bucket = bucket
        self._images = images
        self._sealer = sealer

    async def keep(self, person_id: str, sent: bytes | None, known: Practitioner | None = None) -> Portrait | None:
        """Store the picture, which must be written in the document next; None when nothing is new.

        Whoever dies in between leaves an object that no document names, never a document without its object: in a
        new folder the sweeper removes it, in the person's own it goes when they are erased.
        Raises 422 when the picture is at fault, `Unavailable`.
        """
        if sent is None:
            return None
        came_as = hashlib.sha256(sent).hexdigest()
        if known and known.portrait_came_as == came_as:
            return None
        clean, folder = await self._clean(sent), (known.folder if known else "") or new_folder()
        key = f"{folder}/{secret_id()}"
        sealed = self._sealer.seal_bytes(clean, f"portrait:{person_id}")
        await self._bucket.put(key, sealed, "application/octet-stream")
        return Portrait(folder, key, hashlib.sha256(clean).hexdigest(), came_as)

    async def discard(self, kept: Portrait | None) -> None:
        """Remove what `keep` stored for a document that was not written."""
        if kept:
            await self._bucket.discard(kept.portrait_key)

    async def _clean(self, sent: bytes) -> bytes:
        try:
            return await self._images.reencode(sent, MAX_SIDE)
        except BadImage as error:
            raise InvalidFields.one("portrait", error.code, SENTENCES.get(error.code, UNREADABLE)) from error

    async def show(self, person: Practitioner | None) -> bytes:
        """The picture as JPEG. Raises `NotFound`."""
        if person is None or person.portrait_key is None:
            raise NotFound
        sealed = await self._bucket.named(person.portrait_key)
        return self._sealer.open_bytes(sealed, f"portrait:{person.id}")
