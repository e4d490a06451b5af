"""SMS messages as operators see them: what notify tells of each, and sending a failed one again."""

from datetime import datetime

from services.portal.client.answers import Answer, Page
from services.portal.client.backend import Backend, CallerContext

CODES = frozenset({"login_code", "bind_code", "confirm_code"})
"""Nobody sends a code again but who waits for it."""


class Message(Answer):
    """A message: the phone masked, never the text."""

    message_id: str
    purpose: str
    about: str
    phone_hint: str
    state: str
    provider: str | None
    attempts: int
    reason: str | None
    send_before: datetime
    created_at: datetime
    updated_at: datetime

    @property
    def may_be_sent_again(self) -> bool:
        """Whether it is worth asking notify."""
        return self.state == "failed" and self.purpose not in CODES


class MessageCalls:
    """Calls of the message pages; every one may raise `Refused` or `Unavailable`."""

    def __init__(self, backend: Backend, asker: CallerContext) -> None:
        self._backend, self._asker = backend, asker

    async def page(self, state: str, purpose: str, cursor: str) -> Page[Message]:
        """Messages, newest first; an empty `state` or `purpose` means every."""
        chosen: dict[str, str | int] = {"state": state, "purpose": purpose, "cursor": cursor}
        query = {name: value for name, value in chosen.items() if value}
        return await self._backend.read(self._asker, "notify", Page[Message], "GET", "/messages", params=query)

    async def one(self, message_id: str) -> Message:
        """One message. Raises `Refused` 404."""
        return await self._backend.read(self._asker, "notify", Message, "GET", f"/messages/{message_id}")

    async def send_again(self, message_id: str) -> None:
        """Queue a failed notice once more. Raises `Refused` 409 when it can't be."""
        await self._backend.ask(self._asker, "notify", "POST", f"/messages/{message_id}/retry")
