"""Texts with a lifetime in Redis, sealed: whoever reads there learns nothing, and can use nothing."""

from dataclasses import dataclass

from kit.redis import Cache
from kit.security.encryption import Cipher, DecryptionError


@dataclass(frozen=True)
class CachedText:
    """A text, and how it stands in Redis."""

    text: str
    sealed: str


class EncryptedCache:
    """Keeps texts under keys."""

    def __init__(self, cache: Cache, sealer: Cipher) -> None:
        self.cache, self._sealer = cache, sealer

    async def put(self, key: str, text: str, seconds: int) -> None:
        """Keep `text` for `seconds`."""
        await self.cache.put(key, self._sealer.seal(text, key), seconds)

    async def get(self, key: str) -> CachedText | None:
        """What is kept there."""
        return self._opened(key, await self.cache.get(key))

    async def take(self, key: str) -> CachedText | None:
        """What is kept there, gone from now on."""
        return self._opened(key, await self.cache.take(key))

    async def swap(self, key: str, old: CachedText, text: str, seconds: int) -> bool:
        """Put `text` in place of `old`; False when it is not there any more."""
        return await self.cache.swap(key, old.sealed, self._sealer.seal(text, key), seconds)

    async def drop(self, key: str) -> None:
        """Forget it."""
        await self.cache.drop(key)

    def _opened(self, key: str, sealed: str | None) -> CachedText | None:
        try:
            return CachedText(self._sealer.open(sealed, key), sealed) if sealed else None
        except DecryptionError:  # its key is withdrawn
            return None
