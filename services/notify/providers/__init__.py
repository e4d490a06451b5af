"""The operators that carry messages: one file each, all of one shape."""

from typing import Protocol

from services.notify.domain import Outcome, Sms


class Provider(Protocol):
    """An operator."""

    name: str

    async def send(self, sms: Sms) -> Outcome:
        """Hand a message over; every answer, and none, is an outcome."""
        ...
