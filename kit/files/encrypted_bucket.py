"""Files encrypted in the bucket: access to it discloses nothing, and an object is decrypted only under its own key."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from kit.files import blobs
from kit.files.blobs import Bucket, ChecksumMismatch
from kit.observability import log
from kit.security.encryption import Cipher, DecryptionError, looks_encrypted
from kit.settings import BlobSettings

logger = log.get(__name__)
OCTETS = "application/octet-stream"


class EncryptedBucket(Bucket):
    """A bucket whose objects are encrypted, on the threads that wait for S3.

    `clear`: the object may be unencrypted (get), or must be (put), because an earlier release stored its document. Only
    the document decides this: otherwise an unencrypted file put in its place would be served.
    `encrypts_new`: whether files of new documents are encrypted; not while processes run that can't decrypt them.
    """

    def __init__(
        self, settings: BlobSettings, threads: ThreadPoolExecutor, cipher: Cipher, encrypts_new: bool = True
    ) -> None:
        super().__init__(settings, threads)
        self._cipher, self.encrypts_new = cipher, encrypts_new

    async def put(self, key: str, content: bytes, content_type: str, clear: bool = False) -> None:
        """Encrypt and store an object; one with the same key is replaced."""
        await self._call(super()._put if clear else self._put, key, content, content_type)

    async def get(self, key: str, clear: bool = False) -> bytes | None:
        """The stored bytes, or None. Raises and logs `ChecksumMismatch` if they changed or the key is unknown."""
        return await self._call(self._open, key, clear)

    async def named(self, key: str, clear: bool = False) -> bytes:
        """The bytes of an object that a document names. Raises and logs `NotFound`, `ChecksumMismatch`."""
        return blobs.existing(key, await self.get(key, clear))

    async def renew(self, key: str, clear: bool = False) -> bool:
        """Encrypt the object with the current key, in place; False if it is already. Raises `ChecksumMismatch`."""
        return await self._call(self._renew, key, clear)

    def _put(self, key: str, content: bytes, content_type: str) -> None:
        """The content type is not stored: it would disclose something about the encrypted object."""
        super()._put(key, self._cipher.encrypt_bytes(content, _context(key)), OCTETS)

    def _open(self, key: str, clear: bool) -> bytes | None:
        stored = self._get(key)
        if stored is None or (clear and not looks_encrypted(stored)):
            return stored
        try:
            return self._cipher.decrypt_bytes(stored, _context(key))
        except DecryptionError as error:
            logger.error("checksum mismatch", object=key)
            raise ChecksumMismatch(key) from error

    def _renew(self, key: str, clear: bool) -> bool:
        stored = self._get(key)
        if stored is None or self._cipher.is_current(stored):
            return False
        content = self._open(key, clear)
        if content is not None:
            self._put(key, content, OCTETS)
        return content is not None


def _context(key: str) -> str:
    return f"file:{key}"


@asynccontextmanager
async def connect(settings: BlobSettings, cipher: Cipher, encrypts_new: bool = True) -> AsyncIterator[EncryptedBucket]:
    """The service's bucket. Connects lazily: opening never fails."""
    with blobs.threads_of(settings) as threads:
        yield EncryptedBucket(settings, threads, cipher, encrypts_new)
