"""The operators that carry messages: one file each, all of one shape. `operators.py` has their order."""

from datetime import datetime
from typing import Protocol

from services.notify.domain import Outcome, Report, Sms


class CarrierClient(Protocol):
    """An operator."""

    name: str

    async def send(self, sms: Sms) -> Outcome:
        """Hand a message over; every answer, and none, is an outcome."""
        ...

    async def reports(self, phone: str, since: datetime) -> list[Report]:
        """The receipts it has for messages to `phone`, sent at `since` or later. Raises `Unavailable`."""
        ...
