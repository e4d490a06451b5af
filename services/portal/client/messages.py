"""Calls to notify for operators: list SMS messages, resend a failed one."""

from datetime import datetime

from services.portal.client.backend import Backend, CallerContext
from services.portal.client.models import Answer, Page

CODES = frozenset({"login_code", "bind_code", "confirm_code"})
"""Purposes that operators can't resend: the person requests the code again."""


class Message(Answer):
    """A message, with the phone masked and without its text."""

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
    def can_be_resent(self) -> bool:
        """Whether notify would resend it."""
        return self.state == "failed" and self.purpose not in CODES


class MessageCalls:
    """Calls to notify. Each may raise `Refused` or `Unavailable`."""

    def __init__(self, backend: Backend, caller: CallerContext) -> None:
        self._backend = backend
        self._caller = caller

    async def page(self, state: str, purpose: str, cursor: str) -> Page[Message]:
        """Messages, newest first; an empty `state` or `purpose` matches all."""
        filters: dict[str, str | int] = {"state": state, "purpose": purpose, "cursor": cursor}
        query = {name: value for name, value in filters.items() if value}
        return await self._backend.read(self._caller, "notify", Page[Message], "GET", "/messages", params=query)

    async def one(self, message_id: str) -> Message:
        """One message. Raises `Refused` 404."""
        return await self._backend.read(self._caller, "notify", Message, "GET", f"/messages/{message_id}")

    async def resend(self, message_id: str) -> None:
        """Queue a failed message again. Raises `Refused` 409 if it can't be resent."""
        await self._backend.request(self._caller, "notify", "POST", f"/messages/{message_id}/retry")
