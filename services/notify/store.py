"""notify's collections: `messages`, one document a message, named by what it answers; `contacts`, phones by person."""

from datetime import datetime, timedelta
from typing import ClassVar

from kit.documents import Document
from kit.erasure import Holding
from kit.mongo import NEWEST, Collection, Cursor, Database, Index
from services.notify.domain import State

MESSAGES = "messages"
CONTACTS = "contacts"
TOLD = (MESSAGES,)
HOLDINGS = (Holding(MESSAGES), Holding(CONTACTS, person="_id", indexed=True))
KEPT = timedelta(days=180)  # logs of access and operation are kept for six months


class Message(Document):
    """A message. `sending`: an attempt began and its outcome is not written yet.

    `due_at`: when a worker has to look at it again, whatever its state; null: never.
    """

    BOOKKEEPING: ClassVar[frozenset[str]] = Document.BOOKKEEPING | {"phone_sealed", "variables_sealed", "due_at"}

    practitioner_id: str
    purpose: str
    about: str
    phone_hint: str
    phone_sealed: str | None = None  # gone when nothing more is to be asked about the message
    variables_sealed: str | None = None  # gone when a code was sent, when a notice arrived
    send_before: datetime
    due_at: datetime | None = None
    state: State = "queued"
    sending: bool = False
    attempted_at: datetime | None = None
    provider: str | None = None
    receipt: str | None = None
    reason: str | None = None
    attempts: int = 0


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
