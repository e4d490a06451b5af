"""Encrypts with age to public recipients: this system can't read what it wrote. The only importer of pyrage.

`age -d -i identity.txt FILE | gunzip` does the same as `decrypt`, without this program.
"""

import asyncio
import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import pyrage

LEVEL = 6


class CannotDecrypt(Exception):
    """Not encrypted to this identity, or damaged."""


class InvalidKey(ValueError):
    """Not a recipient (`age1…`), or a file without an identity (`AGE-SECRET-KEY-…`)."""


class Encryption:
    """Encrypts to each of the recipients: any one of their identities decrypts."""

    def __init__(self, recipients: Sequence[str]) -> None:
        """Raises `InvalidKey`."""
        try:
            self._recipients = [pyrage.x25519.Recipient.from_str(each) for each in recipients]
        except pyrage.RecipientError as error:
            raise InvalidKey(f"a recipient of age begins with age1: {error}") from error

    async def encrypt(self, content: bytes) -> bytes:
        """Encrypt a file."""
        return await asyncio.to_thread(pyrage.encrypt, content, self._recipients)

    async def pack(self, content: bytes) -> bytes:
        """Compress and encrypt."""
        return await self.encrypt(await asyncio.to_thread(gzip.compress, content, LEVEL, mtime=0))


class Decryption:
    """Decrypts with the identities of a file that `age-keygen` or `new_identity` made."""

    def __init__(self, file: Path) -> None:
        """Raises `InvalidKey`, `OSError`."""
        lines = [line for line in file.read_text().splitlines() if line.strip() and not line.startswith("#")]
        try:
            self._identities = [pyrage.x25519.Identity.from_str(line.strip()) for line in lines]
        except pyrage.IdentityError as error:
            raise InvalidKey(f"{file} has no identity of age: {error}") from error
        if not self._identities:
            raise InvalidKey(f"{file} has no identity of age")

    async def decrypt(self, content: bytes) -> bytes:
        """Decrypt a file. Raises `CannotDecrypt`."""
        try:
            return await asyncio.to_thread(pyrage.decrypt, content, self._identities)
        except pyrage.DecryptError as error:
            raise CannotDecrypt(str(error)) from error

    async def unpack(self, content: bytes) -> bytes:
        """Decrypt and decompress. Raises `CannotDecrypt`."""
        packed = await self.decrypt(content)
        try:
            return await asyncio.to_thread(gzip.decompress, packed)
        except (OSError, EOFError, zlib.error) as error:
            raise CannotDecrypt(f"not compressed: {error}") from error


def new_identity() -> tuple[str, str]:
    """A new identity, which belongs on no machine of the system, and its recipient."""
    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())
