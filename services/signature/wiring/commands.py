"""The commands of `python -m services.signature` beside `api` and `worker`."""

from collections.abc import Sequence
from functools import partial

from contracts.access import READERS
from kit.core.clock import SystemClock
from kit.mongo import Database, migrate_command
from kit.mongo.removal import Removal
from kit.privacy import erasure, reencryption
from kit.privacy.access_audit import AccessAudit
from kit.privacy.action_audit import ActionAudit
from kit.privacy.reencryption import EncryptedField, EncryptedFiles
from kit.runtime.health import Check
from kit.security.encryption import Cipher
from services.signature.migrations import MIGRATIONS
from services.signature.settings import Settings
from services.signature.store import COMPACTED, FORMS, PERSONAL_DATA, SIGNATURES, Signatures, SignatureSheets
from services.signature.wiring import NAME


def sealed(settings: Settings) -> list[EncryptedField]:
    """The encrypted fields of stored documents."""
    rest = Cipher(settings.seal)
    return [EncryptedField(FORMS, "number_sealed", rest, lambda document: f"document_number:{document['_id']}")]


def files(settings: Settings) -> EncryptedFiles:
    """The encrypted files in the bucket."""
    return EncryptedFiles(SIGNATURES, settings.blobs, Cipher(settings.seal))


def indexes(database: Database) -> Sequence[Check]:
    """What creates the indexes of all collections."""
    clock = SystemClock()
    return [
        Signatures(database).prepare,
        SignatureSheets(database).prepare,
        AccessAudit(database, clock, READERS).prepare,
        ActionAudit(database, clock).prepare,
        partial(erasure.create_indexes, database, PERSONAL_DATA, Removal(database, clock, COMPACTED)),
    ]


COMMANDS = {
    "reseal": reencryption.command(NAME, Settings, sealed, files),
    "migrate": migrate_command.command(NAME, Settings, MIGRATIONS, indexes),
}
