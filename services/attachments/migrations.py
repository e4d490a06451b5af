"""Migrations of attachments: changes of stored documents, by number. A number is never used again."""

from kit.mongo.migrations import Migration
from services.attachments.store import COLLECTION

MIGRATIONS = (
    Migration(
        1, "seen is stored", COLLECTION, {"seen": {"$exists": False}}, lambda document: {**document, "seen": False}
    ),
)
