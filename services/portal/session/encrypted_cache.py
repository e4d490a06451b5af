"""Encrypted texts with a lifetime in Redis."""

from dataclasses import dataclass

from kit.redis import Cache
from kit.security.encryption import Cipher, DecryptionError


@dataclass(frozen=True)
class CachedText:
    """A text, and the encrypted value that Redis has."""

    text: str
    sealed: str


class EncryptedCache:
    """Texts by key. The key is authenticated too, so a value can't be moved to another key."""

    def __init__(self, cache: Cache, cipher: Cipher) -> None:
        self._cache = cache
        self._cipher = cipher

    async def put(self, key: str, text: str, seconds: int) -> None:
        """Store `text` for `seconds`."""
        await self._cache.put(key, self._cipher.encrypt(text, key), seconds)

    async def get(self, key: str) -> CachedText | None:
        """The text; None if there is none or its encryption key was withdrawn."""
        return self._decrypted(key, await self._cache.get(key))

    async def take(self, key: str) -> CachedText | None:
        """`get` and remove, atomically."""
        return self._decrypted(key, await self._cache.take(key))

    async def swap(self, key: str, old: CachedText, text: str, seconds: int) -> bool:
        """Replace `old` by `text`. False if the stored value is not `old` any more."""
        return await self._cache.swap(key, old.sealed, self._cipher.encrypt(text, key), seconds)

    async def drop(self, key: str) -> None:
        """Remove the text."""
        await self._cache.drop(key)

    async def claim(self, key: str, seconds: int) -> bool:
        """Take a lock that expires after `seconds`; `drop` releases it. False if it is taken."""
        return await self._cache.claim(key, "1", seconds)

    def _decrypted(self, key: str, sealed: str | None) -> CachedText | None:
        try:
            return CachedText(self._cipher.decrypt(sealed, key), sealed) if sealed else None
        except DecryptionError:
            return None
