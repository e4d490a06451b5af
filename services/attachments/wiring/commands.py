"""The commands of `python -m services.attachments` beside `api` and `worker`."""

from collections.abc import Sequence
from functools import partial

from contracts.access import READERS
from kit.core.clock import SystemClock
from kit.mongo import Database, migrate_command
from kit.mongo.removal import Removal
from kit.privacy import erasure, reencryption
from kit.privacy.access_audit import AccessAudit
from kit.privacy.action_audit import ActionAudit
from kit.privacy.reencryption import EncryptedFiles
from kit.runtime.health import Check
from kit.security.encryption import Cipher
from services.attachments.migrations import MIGRATIONS
from services.attachments.settings import Settings
from services.attachments.store import COLLECTION, COMPACTED, PERSONAL_DATA, Attachments
from services.attachments.wiring import NAME


def files(settings: Settings) -> EncryptedFiles:
    """The encrypted files in the bucket."""
    return EncryptedFiles(COLLECTION, settings.blobs, Cipher(settings.seal))


def indexes(database: Database) -> Sequence[Check]:
    """What creates the indexes of all collections."""
    clock = SystemClock()
    return [
        Attachments(database).prepare,
        AccessAudit(database, clock, READERS).prepare,
        ActionAudit(database, clock).prepare,
        partial(erasure.create_indexes, database, PERSONAL_DATA, Removal(database, clock, COMPACTED)),
    ]


COMMANDS = {
    "reseal": reencryption.command(NAME, Settings, files=files),
    "migrate": migrate_command.command(NAME, Settings, MIGRATIONS, indexes),
}
