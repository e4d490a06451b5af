"""New keys for what is sealed: `python -m services.identity reseal` seals anew, portraits too.

Earlier versions kept portraits under `portraits/`, outside of people's folders: those are moved on the way, and what no
document names of them is removed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from contracts.identity import CONTACT_CONTEXT
from kit.core.ids import secret_id
from kit.files.blobs import Bucket
from kit.files.encrypted_bucket import OCTETS
from kit.mongo import Database, Fields, translate_errors
from kit.observability import log
from kit.privacy.reencryption import EncryptedField
from kit.security.encryption import Cipher
from services.identity.practitioners.portrait_folders import new_folder, portraits
from services.identity.store import CERTIFICATES, PRACTITIONERS, STAFF

LOOSE = "portraits/"
logger = log.get(__name__)


def sealed(rest: Cipher, bus: Cipher) -> Sequence[EncryptedField]:
    """Where sealed texts stand. A code's message is not worth it: it is gone within a day."""

    def number(document: Fields) -> str:
        return f"document_number:{document['_id']}"

    return [
        EncryptedField(PRACTITIONERS, "number_sealed", rest, number),
        EncryptedField(PRACTITIONERS, "former_numbers_sealed", rest, number),
        EncryptedField(PRACTITIONERS, "address_sealed", rest, lambda document: f"address:{document['_id']}"),
        EncryptedField(STAFF, "totp_sealed", rest, lambda document: f"totp:{document['_id']}"),
        EncryptedField(
            CERTIFICATES, "contact", bus, lambda document: f"{CONTACT_CONTEXT}:{document['practitioner_id']}"
        ),
    ]


async def renew_portraits(database: Database, bucket: Bucket, rest: Cipher) -> int:
    """Seal portraits anew, in place; those that lie outside of a folder are moved into one. Returns how many."""
    count = 0
    with translate_errors():
        async for person in database[PRACTITIONERS].find({}):
            folder = str(person.get("folder") or new_folder())
            count += await _renew(person, bucket, rest)
            if moved := await _moved(person, folder, bucket):
                count += await _write(database, person | {"folder": folder}, bucket, moved)
    logger.info("portraits re-encrypted", portraits=count)
    return count


async def _renew(person: Fields, bucket: Bucket, rest: Cipher) -> int:
    """The document stays as it is: whoever writes it at this moment names the same keys."""
    count = 0
    for key in portraits(person):
        content = await bucket.get(key)
        if content and (anew := rest.renew_bytes(content, f"portrait:{person['_id']}")):
            await bucket.put(key, anew, OCTETS)
            count += 1
    return count


async def _moved(person: Fields, folder: str, bucket: Bucket) -> dict[str, str]:
    """The new key by the old one, of what lies outside of the folder."""
    keys = {}
    for key in portraits(person):
        if key.startswith(LOOSE) and (content := await bucket.get(key)):
            keys[key] = f"{folder}/{secret_id()}"
            await bucket.put(keys[key], content, OCTETS)
    return keys


async def _write(database: Database, person: Fields, bucket: Bucket, keys: dict[str, str]) -> int:
    """The document names the new objects; then the old ones go. When somebody was quicker, the new ones do."""
    guard = {"_id": person["_id"], "version": person["version"]}
    result = await database[PRACTITIONERS].replace_one(guard, _naming(person, keys))
    for old, new in keys.items():
        await bucket.discard(old if result.matched_count else new)
    return len(keys) if result.matched_count else 0


async def remove_orphans(database: Database, bucket: Bucket, before: datetime) -> None:
    """Remove the portraits of earlier versions that no document names and that were stored before then."""
    loose = {key for key, old in (await bucket.older(LOOSE, before)).items() if old}
    with translate_errors():
        async for person in database[PRACTITIONERS].find({} if loose else {"_id": None}):
            loose.difference_update(portraits(person))
    for key in loose:
        logger.warning("orphaned object removed", object=key)
        await bucket.delete(key)


def _naming(value: object, keys: dict[str, str]) -> Any:
    """The document, history and all, with each key replaced."""
    if isinstance(value, Mapping):
        return {name: _naming(each, keys) for name, each in value.items()}
    if isinstance(value, list):
        return [_naming(each, keys) for each in value]
    return keys.get(value, value) if isinstance(value, str) else value
