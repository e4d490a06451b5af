"""Migrations of signature: changes of stored documents, by number. A number is never used again."""

from kit.mongo.migrations import Migration
from services.signature.store import SIGNATURES

MIGRATIONS = (
    Migration(
        1, "seen is stored", SIGNATURES, {"seen": {"$exists": False}}, lambda document: {**document, "seen": False}
    ),
)
