"""The commands of `python -m services.signature` beside `api` and `worker`."""

from kit.privacy import reencryption
from kit.privacy.reencryption import EncryptedField, EncryptedFiles
from kit.security.encryption import Cipher
from services.signature.settings import Settings
from services.signature.store import FORMS, SIGNATURES
from services.signature.wiring import NAME


def sealed(settings: Settings) -> list[EncryptedField]:
    """The encrypted fields of stored documents."""
    rest = Cipher(settings.seal)
    return [EncryptedField(FORMS, "number_sealed", rest, lambda document: f"document_number:{document['_id']}")]


def files(settings: Settings) -> EncryptedFiles:
    """The encrypted files in the bucket."""
    return EncryptedFiles(SIGNATURES, settings.blobs, Cipher(settings.seal))


COMMANDS = {"reseal": reencryption.command(NAME, Settings, sealed, files)}
