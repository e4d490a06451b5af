"""The commands of `python -m services.notify` beside `api` and `worker`."""

from collections.abc import Sequence
from functools import partial

from kit.core.clock import SystemClock
from kit.mongo import Database, migrate_command
from kit.mongo.removal import Removal
from kit.privacy import erasure, reencryption
from kit.privacy.action_audit import ActionAudit
from kit.privacy.reencryption import EncryptedField
from kit.runtime.health import Check
from kit.security.encryption import Cipher
from services.notify.settings import Settings
from services.notify.store import COMPACTED, CONTACTS, MESSAGES, PERSONAL_DATA, Messages
from services.notify.wiring import NAME


def sealed(settings: Settings) -> list[EncryptedField]:
    """The encrypted fields of stored documents."""
    rest = Cipher(settings.seal)
    return [
        EncryptedField(MESSAGES, "phone_sealed", rest, lambda document: f"phone:{document['_id']}"),
        EncryptedField(MESSAGES, "variables_sealed", rest, lambda document: f"variables:{document['_id']}"),
        EncryptedField(CONTACTS, "phone_sealed", rest, lambda document: f"contact:{document['_id']}"),
    ]


def indexes(database: Database) -> Sequence[Check]:
    """What creates the indexes of all collections."""
    clock = SystemClock()
    return [
        Messages(database).prepare,
        ActionAudit(database, clock).prepare,
        partial(erasure.create_indexes, database, PERSONAL_DATA, Removal(database, clock, COMPACTED)),
    ]


COMMANDS = {
    "reseal": reencryption.command(NAME, Settings, sealed),
    "migrate": migrate_command.command(NAME, Settings, (), indexes),
}
