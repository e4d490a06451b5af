"""The commands of `python -m services.attachments` beside `api` and `worker`."""

from kit.privacy import reencryption
from kit.privacy.reencryption import EncryptedFiles
from kit.security.encryption import Cipher
from services.attachments.settings import Settings
from services.attachments.store import COLLECTION
from services.attachments.wiring import NAME


def files(settings: Settings) -> EncryptedFiles:
    """The encrypted files in the bucket."""
    return EncryptedFiles(COLLECTION, settings.blobs, Cipher(settings.seal))


COMMANDS = {"reseal": reencryption.command(NAME, Settings, files=files)}
