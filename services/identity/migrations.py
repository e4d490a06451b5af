"""Migrations of identity: changes of stored documents, by number. A number is never used again."""

from kit.mongo.migrations import Migration
from services.identity.store import ERASURES

MIGRATIONS = (
    # they were carried out at once
    Migration(
        1, "erasures have a state", ERASURES, {"state": {"$exists": False}},
        lambda document: {**document, "state": "erased"},
    ),
)  # fmt: skip
