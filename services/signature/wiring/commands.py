"""The commands of `python -m services.signature` beside `api` and `worker`."""

from kit.privacy import reencryption
from kit.privacy.reencryption import EncryptedField, EncryptedFiles
from kit.security.encryption import Cipher
from services.signature.settings import Settings
from services.signature.store import FORMS, SIGNATURES
from services.signature.wiring import NAME


def sealed(settings: Settings) -> list[EncryptedField]:
    """Where sealed texts stand."""
    rest = Cipher(settings.seal)
    return [EncryptedField(FORMS, "number_sealed", rest, lambda document: f"document_number:{document['_id']}")]


def files(settings: Settings) -> EncryptedFiles:
    """Where sealed files are."""
    return EncryptedFiles(SIGNATURES, settings.blobs, Cipher(settings.seal))


COMMANDS = {"reseal": reencryption.command(NAME, Settings, sealed, files)}
