"""Delivery receipts, pushed by carriers or polled, and the final states of messages."""

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
from services.notify.domain import FINAL, NOT_NEEDED, Message, Report
from services.notify.encryption import MessageCipher
from services.notify.providers.carriers import Carriers
from services.notify.settings import CarrierSettings, ReceiptSettings
from services.notify.store import Messages

MAX_PAUSE = timedelta(hours=1)

logger = log.get(__name__)


class ReceiptAuthorization:
    """Checks that receipts come from the carrier: they are not signed, so they carry a secret (decision 0012)."""

    def __init__(self, name: str, account: CarrierSettings) -> None:
        self._name = name
        self._networks = account.receipts_from
        self._secrets = [secret.get_secret_value() for secret in account.receipts_tokens]
        initialise(metrics.sms_receipts, [name], ["current", "former"])

    def check(self, address: str, secret: str) -> None:
        """Raise 403 for an address outside the carrier's networks, `Unauthorized` for a wrong secret."""
        if self._networks and not self._in_networks(address):
            raise AppError(403, "forbidden", "您没有权限进行此操作")
        # compare all: the response time must not reveal which one matches
        matches = [constant_time_equal(secret, each) for each in self._secrets]
        if not any(matches):
            raise Unauthorized("secret_wrong")
        metrics.sms_receipts.labels(self._name, "current" if matches[0] else "former").inc()

    def _in_networks(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        parsed = (isinstance(parsed, IPv6Address) and parsed.ipv4_mapped) or parsed
        return any(parsed in network for network in self._networks)


class Receipts:
    """Applies receipts to messages; removes the phone once no receipt is expected any more."""

    def __init__(
        self, messages: Messages, carriers: Carriers, cipher: MessageCipher, settings: ReceiptSettings, clock: Clock
    ) -> None:
        self._messages = messages
        self._carriers = carriers
        self._cipher = cipher
        self._clock = clock
        self._poll_pause = timedelta(seconds=settings.poll_seconds)
        self._give_up = timedelta(seconds=settings.give_up_seconds)

    def first_poll(self, now: datetime) -> datetime:
        """When to poll for the receipt of a message that was sent at `now`."""
        return now + self._poll_pause

    def phone_kept_until(self, now: datetime) -> datetime:
        """Until when the phone of a notice that failed at `now` is kept."""
        return now + self._give_up

    async def end(self, message: Message) -> None:
        """Store a message in its new state, and count it. Raises `Conflict`."""
        await self._messages.replace(message)
        metrics.sms_messages.labels(message.purpose, message.state, message.provider or "none").inc()
        if message.state in FINAL - {"delivered"}:
            logger.warning("message not sent", message_id=message.id, state=message.state, reason=message.reason)

    async def withdraw(self, message: Message, reason: str = NOT_NEEDED) -> None:
        """Expire a notice that is not to be sent any more, unless it is being sent. Raises `Conflict`."""
        sent_now = message.sending and message.phone_sealed  # without a phone an earlier release has tried in vain
        if message.state == "queued" and not sent_now:
            await self._messages.replace(message.withdrawn(reason, at=self._clock.now()))
            metrics.sms_messages.labels(message.purpose, "withdrawn", "none").inc()

    async def note(self, provider: str, report: Report) -> None:
        """Apply a receipt; one that is late, repeated or of an unknown message changes nothing."""
        # conflicts: the sender stores the carrier's answer, or another worker applies the same receipt
        await retry_on_conflict(partial(self._note, provider, report))

    async def _note(self, provider: str, report: Report) -> None:
        message = await self._message_of(provider, report)
        if message is not None and message.provider == provider and message.awaits_receipt:
            await self._settle(message, report)

    async def _message_of(self, provider: str, report: Report) -> Message | None:
        found = await self._messages.with_receipt(provider, report.receipt) if report.receipt else None
        return found or (await self._messages.get(report.out_id) if is_id(report.out_id) else None)

    async def _settle(self, message: Message, report: Report) -> None:
        now = self._clock.now()
        if not report.delivered:
            reason = report.code or "not_delivered"
            return await self.end(message.failed(reason, until=self.phone_kept_until(now), at=now))
        await self.end(message.delivered(at=now))
        took = (self._clock.now() - message.created_at).total_seconds()
        metrics.sms_delivered_seconds.labels(message.purpose, message.provider).observe(took)
        return None

    async def poll(self, message: Message) -> None:
        """Query the carrier for the receipt, or remove the phone if it is too late for one. Raises `Conflict`."""
        now = self._clock.now()
        since = message.attempted_at or message.created_at
        carrier = self._carriers.named(message.provider)
        if not message.awaits_receipt or carrier is None or now >= since + self._give_up:
            return await self._messages.replace(message.forgotten(at=now))
        pause = min(max(self._poll_pause, now - since), MAX_PAUSE)
        asked = message.asked(ask_at=now + pause, at=now)
        await self._messages.replace(asked)
        try:
            reports = await carrier.reports(self._cipher.phone(asked), since)
        except Unavailable:
            return None
        for report in reports:
            if report.out_id == asked.id or (report.receipt and report.receipt == asked.receipt):
                return await self._settle(asked, report)
        return None
