"""notify's collections: `messages`, one document a message, named by what it answers; `contacts`, phones by person."""

from datetime import datetime, timedelta

from kit.mongo import NEWEST, Collection, Cursor, Database, Index
from kit.privacy.personal_data import PersonalData
from services.notify.domain import Message

MESSAGES = "messages"
CONTACTS = "contacts"
COMPACTED = (MESSAGES,)
PERSONAL_DATA = (PersonalData(MESSAGES), PersonalData(CONTACTS, person="_id", indexed=True))
KEPT = timedelta(days=180)  # logs of access and operation are kept for six months


class Messages:
    """Queries over messages."""

    def __init__(self, database: Database) -> None:
        newest = Index([*NEWEST])
        outlived = Index([("state", 1), ("updated_at", 1)])  # for the purge; if MongoDB did it the topic would not know
        due, receipt = Index([("due_at", 1)]), Index([("receipt", 1)])
        self._collection = Collection(database, MESSAGES, Message, [newest, outlived, due, receipt])
        self.prepare = self._collection.prepare
        self.get = self._collection.get
        self.insert = self._collection.insert
        self.replace = self._collection.replace

    async def page(
        self, state: str | None, purpose: str | None, after: Cursor | None, limit: int
    ) -> tuple[list[Message], Cursor | None]:
        """A page of messages, newest first, and where the next one begins."""
        wanted = {"state": state, "purpose": purpose}
        query = {name: value for name, value in wanted.items() if value}
        return await self._collection.newest(query, after, limit)

    async def due(self, now: datetime, limit: int) -> list[str]:
        """The ids of those that have to be looked at, the longest overdue first."""
        found = await self._collection.find({"due_at": {"$lte": now}}, sort=[("due_at", 1)], limit=limit)
        return [message.id for message in found]

    async def queued_about(self, about: str) -> list[Message]:
        """Those about this that are not sent yet, with their histories."""
        return await self._collection.whole({"state": "queued", "about": about})

    async def with_receipt(self, provider: str, receipt: str) -> Message | None:
        """The message that the operator calls by this name."""
        return await self._collection.find_one({"receipt": receipt, "provider": provider})
