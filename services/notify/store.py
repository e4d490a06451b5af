"""The collection `messages`: one document a message, found again by the request it answers."""

from datetime import datetime
from typing import ClassVar

from kit.documents import Document
from kit.mongo import NEWEST, Collection, Cursor, Database, Index
from services.notify.domain import State

MESSAGES = "messages"
FORGET_SECONDS = 180 * 24 * 3600  # logs of access and operation are kept for six months


class Message(Document):
    """A message. `sending`: an attempt began and its outcome is not written yet."""

    BOOKKEEPING: ClassVar[frozenset[str]] = Document.BOOKKEEPING | {"sealed"}

    practitioner_id: str
    purpose: str
    about: str
    phone_hint: str
    sealed: str | None  # phone and variables; gone when the message reached a final state or was sent
    send_before: datetime
    state: State = "queued"
    sending: bool = False
    provider: str | None = None
    receipt: str | None = None
    reason: str | None = None
    attempts: int = 0


class Messages:
    """Queries over messages."""

    def __init__(self, database: Database) -> None:
        newest = Index([*NEWEST])
        forgotten = Index([("updated_at", 1)], expireAfterSeconds=FORGET_SECONDS)
        self._collection = Collection(database, MESSAGES, Message, [newest, forgotten])
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
