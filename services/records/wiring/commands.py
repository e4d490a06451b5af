"""The commands of `python -m services.records` beside `api` and `worker`."""

from collections.abc import Sequence
from functools import partial

from contracts.access import READERS
from kit.core.clock import SystemClock
from kit.imports.model import Imports
from kit.mongo import Database, migrate_command
from kit.mongo.removal import Removal
from kit.privacy import erasure
from kit.privacy.access_audit import AccessAudit
from kit.privacy.action_audit import ActionAudit
from kit.runtime.health import Check
from services.records.settings import Settings
from services.records.store import COMPACTED, PERSONAL_DATA, Disputes, Records
from services.records.wiring import NAME


def indexes(database: Database) -> Sequence[Check]:
    """What creates the indexes of all collections."""
    clock = SystemClock()
    return [
        Records(database).prepare,
        Disputes(database).prepare,
        Imports(database).prepare,
        AccessAudit(database, clock, READERS).prepare,
        ActionAudit(database, clock).prepare,
        partial(erasure.create_indexes, database, PERSONAL_DATA, Removal(database, clock, COMPACTED)),
    ]


COMMANDS = {"migrate": migrate_command.command(NAME, Settings, (), indexes)}
