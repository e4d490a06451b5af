"""Key rotation: `python -m services.identity reseal` re-encrypts fields and portraits with the current keys.

Releases before folders existed stored portraits under `portraits/`: these are moved into their person's folder, and the
orphaned ones removed.
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
from services.identity.store import APPROVALS, CERTIFICATES, PRACTITIONERS, STAFF

OLD_PREFIX = "portraits/"
logger = log.get(__name__)


def encrypted_fields(rest: Cipher, bus: Cipher) -> Sequence[EncryptedField]:
    """All encrypted fields but a code's message, which expires within a day."""

    def number(document: Fields) -> str:
        return f"document_number:{document['_id']}"

    return [
        EncryptedField(PRACTITIONERS, "number_sealed", rest, number),
        EncryptedField(PRACTITIONERS, "former_numbers_sealed", rest, number),
        EncryptedField(PRACTITIONERS, "address_sealed", rest, lambda document: f"address:{document['_id']}"),
        EncryptedField(STAFF, "totp_sealed", rest, lambda document: f"totp:{document['_id']}"),
        EncryptedField(APPROVALS, "totp_sealed", rest, lambda document: f"totp:{document['account']}"),
        EncryptedField(
            CERTIFICATES, "contact", bus, lambda document: f"{CONTACT_CONTEXT}:{document['practitioner_id']}"
        ),
    ]


async def reencrypt_portraits(database: Database, bucket: Bucket, rest: Cipher) -> int:
    """Re-encrypt portraits in place and move old ones into folders. Returns how many objects were written."""
    count = 0
    with translate_errors():
        async for person in database[PRACTITIONERS].find({}):
            folder = str(person.get("folder") or new_folder())
            count += await _reencrypt(person, bucket, rest)
            if new_keys := await _copy_to_folder(person, folder, bucket):
                count += await _write(database, person | {"folder": folder}, bucket, new_keys)
    logger.info("portraits re-encrypted", portraits=count)
    return count


async def _reencrypt(person: Fields, bucket: Bucket, rest: Cipher) -> int:
    """Object keys, and so the document, stay the same: a concurrent write of the document is not affected."""
    count = 0
    for key in portraits(person):
        content = await bucket.get(key)
        if content and (reencrypted := rest.reencrypt_bytes(content, f"portrait:{person['_id']}")):
            await bucket.put(key, reencrypted, OCTETS)
            count += 1
    return count


async def _copy_to_folder(person: Fields, folder: str, bucket: Bucket) -> dict[str, str]:
    """Copy the portraits outside of the folder into it. Returns new object keys by old ones."""
    keys = {}
    for key in portraits(person):
        if key.startswith(OLD_PREFIX) and (content := await bucket.get(key)):
            keys[key] = f"{folder}/{secret_id()}"
            await bucket.put(keys[key], content, OCTETS)
    return keys


async def _write(database: Database, person: Fields, bucket: Bucket, keys: dict[str, str]) -> int:
    """Write the new object keys, then discard the old objects; after a lost race discard the new ones instead."""
    guard = {"_id": person["_id"], "version": person["version"]}
    result = await database[PRACTITIONERS].replace_one(guard, _with_keys(person, keys))
    for old, new in keys.items():
        await bucket.discard(old if result.matched_count else new)
    return len(keys) if result.matched_count else 0


async def remove_orphans(database: Database, bucket: Bucket, before: datetime) -> None:
    """Remove orphaned objects under the old prefix that were stored before `before`."""
    orphans = {key for key, old in (await bucket.older(OLD_PREFIX, before)).items() if old}
    with translate_errors():
        async for person in database[PRACTITIONERS].find({} if orphans else {"_id": None}):
            orphans.difference_update(portraits(person))
    for key in orphans:
        logger.warning("orphaned object removed", object=key)
        await bucket.delete(key)


def _with_keys(value: object, keys: dict[str, str]) -> Any:
    """The document, including its history, with each object key replaced."""
    if isinstance(value, Mapping):
        return {name: _with_keys(each, keys) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_keys(each, keys) for each in value]
    return keys.get(value, value) if isinstance(value, str) else value
