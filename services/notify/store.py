"""notify's collections: `messages`, with ids derived from events; `contacts`, the bound phone of each person."""

from datetime import datetime, timedelta

from kit.mongo import NEWEST, Collection, Cursor, Database, Index
from kit.privacy.personal_data import PersonalData
from services.notify.domain import Message

MESSAGES = "messages"
CONTACTS = "contacts"
COMPACTED = (MESSAGES,)
PERSONAL_DATA = (PersonalData(MESSAGES), PersonalData(CONTACTS, person="_id", indexed=True))
KEPT = timedelta(days=180)
"""How long messages are kept: six months, as access and operation logs are."""


class Messages:
    """Queries over messages."""

    def __init__(self, database: Database) -> None:
        newest = Index([*NEWEST])
        purged = Index([("state", 1), ("updated_at", 1)])  # no TTL index: the purge also publishes tombstones
        due = Index([("due_at", 1)])
        receipt = Index([("receipt", 1)])
        indexes = [newest, purged, due, receipt]
        self._collection = Collection(database, MESSAGES, Message, indexes, outdated=["updated_at_1"])
        self.prepare = self._collection.prepare
        self.get = self._collection.get
        self.insert = self._collection.insert
        self.replace = self._collection.replace

    async def page(
        self, state: str | None, purpose: str | None, after: Cursor | None, limit: int
    ) -> tuple[list[Message], Cursor | None]:
        """A page of messages, newest first, and the cursor of the next page."""
        filters = {"state": state, "purpose": purpose}
        query = {name: value for name, value in filters.items() if value}
        return await self._collection.newest(query, after, limit)

    async def due(self, now: datetime, limit: int) -> list[str]:
        """The ids of the messages that are due, the longest overdue first."""
        found = await self._collection.find({"due_at": {"$lte": now}}, sort=[("due_at", 1)], limit=limit)
        return [message.id for message in found]

    async def queued_about(self, about: str) -> list[Message]:
        """The messages about this object that are not sent yet, with their histories."""
        return await self._collection.find_with_history({"state": "queued", "about": about})

    async def with_receipt(self, provider: str, receipt: str) -> Message | None:
        """The message with this receipt id of the carrier."""
        return await self._collection.find_one({"receipt": receipt, "provider": provider})
