"""The commands of `python -m services.subscriptions` beside `api` and `worker`."""

from collections.abc import Sequence

from kit.mongo import Database, migrate_command
from kit.runtime.health import Check
from services.subscriptions.settings import Settings
from services.subscriptions.wiring import NAME
from services.subscriptions.wiring.shared import stores_of


def indexes(database: Database) -> Sequence[Check]:
    """What creates the indexes of all collections."""
    return [stores_of(database).prepare]


COMMANDS = {"migrate": migrate_command.command(NAME, Settings, (), indexes)}
