"""Checks that a dump is as it was written, and with an identity that all of it can be read."""

from collections.abc import Collection
from dataclasses import dataclass

from deploy.backup.encryption import CannotDecrypt, Decryption
from deploy.backup.files import OBJECTS, Dump, Piece, StoredObject, Unusable
from kit.mongo import archive


@dataclass(frozen=True)
class Checked:
    """What was found to be in order."""

    pieces: int
    documents: int
    objects: int


async def check(dump: Dump, decryption: Decryption | None = None, only: Collection[str] | None = None) -> Checked:
    """Compare every digest; with `decryption` also decrypt and parse everything. Raises `Unusable`.

    `only`: names of the objects to read; the others only have to be there.
    """
    manifest = await dump.manifest()
    documents = 0
    for piece in manifest.pieces:
        content = await dump.get(piece)
        if decryption:
            await _read(dump, piece, content, decryption)
        documents += piece.documents
    return Checked(len(manifest.pieces), documents, await _objects(dump, decryption, only))


async def _read(dump: Dump, piece: Piece, content: bytes, decryption: Decryption) -> None:
    found = archive.check(await unpacked(dump, piece, content, decryption))
    if found != piece.documents:
        raise Unusable(f"{dump.name}/{piece.name} has {found} documents, the manifest says {piece.documents}")


async def unpacked(dump: Dump, piece: Piece, content: bytes, decryption: Decryption) -> list[bytes]:
    """The documents of a piece. Raises `Unusable`."""
    try:
        return list(archive.split(await decryption.unpack(content)))
    except (CannotDecrypt, ValueError) as error:
        raise Unusable(f"{dump.name}/{piece.name} can't be read with this identity: {error}") from error


async def decrypted(stored: StoredObject, content: bytes, decryption: Decryption) -> bytes:
    """The content of an object. Raises `Unusable`."""
    try:
        return await decryption.decrypt(content)
    except CannotDecrypt as error:
        raise Unusable(f"{stored.name} can't be read with this identity: {error}") from error


async def _objects(dump: Dump, decryption: Decryption | None, only: Collection[str] | None) -> int:
    manifest, count = await dump.manifest(), 0
    for service in manifest.objects:
        there = set(await dump.storage.names(f"{OBJECTS}/{service}"))
        for name in await dump.object_names(manifest, service):
            stored = StoredObject.parse(name, service)
            if name not in there:
                raise Unusable(f"{name} is missing")
            if only is None or name in only:
                content = await stored.read(dump.storage)
                if decryption:
                    await decrypted(stored, content, decryption)
            count += 1
    return count
