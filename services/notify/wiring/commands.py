"""The commands of `python -m services.notify` beside `api` and `worker`."""

from kit.privacy import reencryption
from kit.privacy.reencryption import EncryptedField
from kit.security.encryption import Cipher
from services.notify.settings import Settings
from services.notify.store import CONTACTS, MESSAGES
from services.notify.wiring import NAME


def sealed(settings: Settings) -> list[EncryptedField]:
    """The encrypted fields of stored documents."""
    rest = Cipher(settings.seal)
    return [
        EncryptedField(MESSAGES, "phone_sealed", rest, lambda document: f"phone:{document['_id']}"),
        EncryptedField(MESSAGES, "variables_sealed", rest, lambda document: f"variables:{document['_id']}"),
        EncryptedField(CONTACTS, "phone_sealed", rest, lambda document: f"contact:{document['_id']}"),
    ]


COMMANDS = {"reseal": reencryption.command(NAME, Settings, sealed)}
