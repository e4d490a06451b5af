"""Sealing: fields encrypted at rest and on the bus, and blind indexes to find them again."""

import base64
import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kit.settings import KeyRing

NONCE_BYTES = 12


class CannotOpen(ValueError):
    """The sealed text is damaged, was made for another place, or its key is unknown."""


class Sealer:
    """AES-256-GCM; the key's id stands in the sealed text (`<kid>.<base64url>`), so keys can rotate."""

    def __init__(self, ring: KeyRing) -> None:
        self._ciphers = {kid: AESGCM(key) for kid, key in ring.keys.items()}
        self._current = ring.current

    def seal(self, text: str, context: str) -> str:
        """Encrypt `text`; it opens only with the same `context` (where it stands: field and document id)."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, text.encode(), context.encode())
        return f"{self._current}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, context: str) -> str:
        """Decrypt what `seal` made. Raises `CannotOpen`."""
        kid, _, body = sealed.partition(".")
        try:
            raw = base64.urlsafe_b64decode(body)
            return self._ciphers[kid].decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], context.encode()).decode()
        except (KeyError, ValueError, InvalidTag) as error:
            raise CannotOpen(f"sealed with key {kid!r} for {context.partition(':')[0]}") from error


def keyed_hash(key: bytes, *parts: str) -> str:
    """HMAC-SHA-256 of the parts as base64url: a blind index or the stored form of a code."""
    digest = hmac.digest(key, "\x1f".join(parts).encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def same(one: str, other: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())
