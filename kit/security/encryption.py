"""Encryption: of fields and files at rest and on the bus, and blind indexes to find encrypted values."""

import base64
import hashlib
import hmac
import os
import re

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kit.settings import KeyRing

NONCE_BYTES = 12
BEGINS = re.compile(rb"[ -\-/-~]{1,100}\.")  # with a key's id, which has no dot


class DecryptionError(ValueError):
    """The encrypted text is damaged, belongs to another context, or its key is unknown."""


class Cipher:
    """AES-256-GCM; the encrypted text begins with the key's id (`<kid>.<base64url>`), so keys can rotate."""

    def __init__(self, ring: KeyRing) -> None:
        self._ciphers = {kid: AESGCM(key) for kid, key in ring.keys.items()}
        self._current = ring.current

    def encrypt(self, text: str, context: str) -> str:
        """Encrypt `text`; it is decrypted only with the same `context` (where it is stored: field and document id)."""
        return f"{self._current}.{base64.urlsafe_b64encode(self._encrypt(text.encode(), context)).decode()}"

    def decrypt(self, encrypted: str, context: str) -> str:
        """Decrypt a text that `encrypt` made. Raises `DecryptionError`."""
        kid, _, body = encrypted.partition(".")
        try:
            return self._decrypt(kid, base64.urlsafe_b64decode(body), context).decode()
        except ValueError as error:
            raise _cannot_decrypt(kid, context) from error

    def reencrypt(self, encrypted: str, context: str) -> str:
        """The text encrypted with the current key; unchanged if it already is. Raises `DecryptionError`."""
        if encrypted.startswith(f"{self._current}."):
            return encrypted
        return self.encrypt(self.decrypt(encrypted, context), context)

    def encrypt_bytes(self, content: bytes, context: str) -> bytes:
        """Like `encrypt`, for a file: `<kid>.` and then bytes."""
        return f"{self._current}.".encode() + self._encrypt(content, context)

    def decrypt_bytes(self, encrypted: bytes, context: str) -> bytes:
        """Decrypt what `encrypt_bytes` made. Raises `DecryptionError`."""
        kid, _, raw = encrypted.partition(b".")
        return self._decrypt(kid.decode(errors="replace"), raw, context)

    def reencrypt_bytes(self, encrypted: bytes, context: str) -> bytes | None:
        """Like `reencrypt`, for a file; None when there is nothing to do."""
        if self.is_current(encrypted):
            return None
        return self.encrypt_bytes(self.decrypt_bytes(encrypted, context), context)

    def is_current(self, encrypted: bytes) -> bool:
        """Whether this file is encrypted with the current key."""
        return encrypted.startswith(f"{self._current}.".encode())

    def _encrypt(self, content: bytes, context: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._ciphers[self._current].encrypt(nonce, content, context.encode())

    def _decrypt(self, kid: str, raw: bytes, context: str) -> bytes:
        try:
            return self._ciphers[kid].decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], context.encode())
        except (KeyError, ValueError, InvalidTag) as error:
            raise _cannot_decrypt(kid, context) from error


def looks_encrypted(content: bytes) -> bool:
    """Whether it begins as `encrypt_bytes` makes files begin; no picture does."""
    return BEGINS.match(content) is not None


def _cannot_decrypt(kid: str, context: str) -> DecryptionError:
    return DecryptionError(f"encrypted with key {kid!r} for {context.partition(':')[0]}")


def keyed_hash(key: bytes, *parts: str) -> str:
    """HMAC-SHA-256 of the parts as base64url: a blind index or the stored form of a code."""
    digest = hmac.digest(key, "\x1f".join(parts).encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def constant_time_equal(one: str, other: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())
