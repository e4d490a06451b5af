"""What became of messages: their ends, and the receipts that tell of them, called back or asked for."""

from datetime import datetime, timedelta
from functools import partial
from ipaddress import IPv6Address, ip_address

from kit.core.clock import Clock
from kit.core.errors import AppError, Unavailable
from kit.core.ids import is_id
from kit.mongo import retry_on_conflict
from kit.observability import log
from kit.observability.metrics import initialise
from kit.security.encryption import constant_time_equal
from kit.security.tokens import Unauthorized
from services.notify import metrics
from services.notify.domain import FINAL, Message, Report
from services.notify.envelopes import MessageCipher
from services.notify.providers.operators import Carriers
from services.notify.settings import CarrierSettings, ReceiptSettings
from services.notify.store import Messages

MAX_PAUSE = timedelta(hours=1)

logger = log.get(__name__)


class ReceiptAuthorization:
    """Lets only the operator call its receipts back: they carry no signature, so they come with a secret (0012)."""

    def __init__(self, name: str, account: CarrierSettings) -> None:
        self._name, self._networks = name, account.receipts_from
        self._secrets = [secret.get_secret_value() for secret in account.receipts_tokens]
        initialise(metrics.sms_receipts, [name], ["current", "former"])

    def check(self, address: str, secret: str) -> None:
        """Raises 403 for an address of none of its networks, `Unauthorized` for another secret."""
        if self._networks and not self._known(address):
            raise AppError(403, "forbidden", "您没有权限进行此操作")
        fits = [
            constant_time_equal(secret, each) for each in self._secrets
        ]  # all of them: the time must not tell which one
        if not any(fits):
            raise Unauthorized("secret_wrong")
        metrics.sms_receipts.labels(self._name, "current" if fits[0] else "former").inc()

    def _known(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        found = (isinstance(found, IPv6Address) and found.ipv4_mapped) or found
        return any(found in network for network in self._networks)


class Receipts:
    """Ends messages by their receipts; forgets the phone when there is nothing more to ask."""

    def __init__(
        self, messages: Messages, operators: Carriers, envelopes: MessageCipher, settings: ReceiptSettings, clock: Clock
    ) -> None:
        self._messages, self._operators, self._envelopes, self._clock = messages, operators, envelopes, clock
        self._poll = timedelta(seconds=settings.poll_seconds)
        self._patience = timedelta(seconds=settings.give_up_seconds)

    def first_look(self, now: datetime) -> datetime:
        """When a receipt is asked for that has not come."""
        return now + self._poll

    def last_look(self, now: datetime) -> datetime:
        """Until when the phone of a notice that failed now is kept."""
        return now + self._patience

    async def end(self, message: Message) -> None:
        """Write a message that has reached a new state, and count it. Raises `Conflict`."""
        await self._messages.replace(message)
        metrics.sms_messages.labels(message.purpose, message.state, message.provider or "none").inc()
        if message.state in FINAL - {"delivered"}:
            logger.warning("message not sent", message_id=message.id, state=message.state, reason=message.reason)

    async def withdraw(self, message: Message) -> None:
        """End a notice that is not needed any more, unless it is being sent: no failure. Raises `Conflict`."""
        if message.state == "queued" and not message.sending:
            await self._messages.replace(message.withdrawn(at=self._clock.now()))
            metrics.sms_messages.labels(message.purpose, "withdrawn", "none").inc()

    async def note(self, provider: str, report: Report) -> None:
        """Take a receipt; one that is late, repeated or about nothing of ours changes nothing.

        The sender may be writing what the operator answered, or a worker may take the same receipt.
        """
        await retry_on_conflict(partial(self._note, provider, report))

    async def _note(self, provider: str, report: Report) -> None:
        message = await self._about(provider, report)
        if message is not None and message.provider == provider and message.awaits_receipt:
            await self._settle(message, report)

    async def _about(self, provider: str, report: Report) -> Message | None:
        known = await self._messages.with_receipt(provider, report.receipt) if report.receipt else None
        return known or (await self._messages.get(report.out_id) if is_id(report.out_id) else None)

    async def _settle(self, message: Message, report: Report) -> None:
        now = self._clock.now()
        if not report.delivered:
            return await self.end(message.failed(report.code or "not_delivered", until=self.last_look(now), at=now))
        await self.end(message.delivered(at=now))
        took = (self._clock.now() - message.created_at).total_seconds()
        metrics.sms_delivered_seconds.labels(message.purpose, message.provider).observe(took)
        return None

    async def look_after(self, message: Message) -> None:
        """Ask the operator for the receipt, or forget the phone when it is time. Raises `Conflict`."""
        now = self._clock.now()
        asked_since = message.attempted_at or message.created_at
        operator = self._operators.named(message.provider)
        if not message.awaits_receipt or operator is None or now >= asked_since + self._patience:
            return await self._messages.replace(message.forgotten(at=now))
        pause = min(max(self._poll, now - asked_since), MAX_PAUSE)
        asked = message.asked(ask_at=now + pause, at=now)
        await self._messages.replace(asked)
        try:
            reports = await operator.reports(self._envelopes.phone(asked), asked_since)
        except Unavailable:
            return None
        for report in reports:
            if report.out_id == asked.id or (report.receipt and report.receipt == asked.receipt):
                return await self._settle(asked, report)
        return None
