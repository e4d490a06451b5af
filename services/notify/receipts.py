"""What became of messages: their ends, and the receipts that tell of them, called back or asked for."""

from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address

from kit import log, metrics
from kit.auth import Unauthorized
from kit.clock import Clock
from kit.errors import AppError, Unavailable
from kit.ids import is_id
from kit.mongo import Conflict
from kit.seal import same
from services.notify.domain import FINAL, NOT_NEEDED, OUTCOME_UNKNOWN, Report
from services.notify.envelopes import Envelopes
from services.notify.operators import Operators
from services.notify.settings import OperatorSettings, ReceiptSettings
from services.notify.store import Message, Messages
from services.notify.templates import CATALOGUE

LONGEST_PAUSE = timedelta(hours=1)

logger = log.get(__name__)


class ReceiptsDoor:
    """Lets only the operator call its receipts back: they carry no signature, so they come with a secret (0012)."""

    def __init__(self, name: str, account: OperatorSettings) -> None:
        self._name, self._networks = name, account.receipts_from
        self._secrets = [secret.get_secret_value() for secret in account.receipts_tokens]
        metrics.begin(metrics.sms_receipts, [name], ["current", "former"])

    def check(self, address: str, secret: str) -> None:
        """Raises 403 for an address of none of its networks, `Unauthorized` for another secret."""
        if self._networks and not self._known(address):
            raise AppError(403, "forbidden", "您没有权限进行此操作")
        fits = [same(secret, each) for each in self._secrets]  # all of them: the time must not tell which one
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
        self, messages: Messages, operators: Operators, envelopes: Envelopes, settings: ReceiptSettings, clock: Clock
    ) -> None:
        self._messages, self._operators, self._envelopes, self._clock = messages, operators, envelopes, clock
        self._poll = timedelta(seconds=settings.poll_seconds)
        self._patience = timedelta(seconds=settings.give_up_seconds)

    def first_look(self, now: datetime) -> datetime:
        """When a receipt is asked for that has not come."""
        return now + self._poll

    async def end(self, message: Message, state: str, **fields: object) -> None:
        """Write the message in its new state and count it. Raises `Conflict`."""
        await self._become(message, state, **fields)
        metrics.sms_messages.labels(message.purpose, state, message.provider or "none").inc()
        if state in FINAL - {"delivered"}:
            logger.warning("message not sent", message_id=message.id, state=state, reason=fields.get("reason"))

    async def withdraw(self, message: Message) -> None:
        """End a notice that is not needed any more, unless it is being sent: no failure. Raises `Conflict`."""
        if message.state == "queued" and not message.sending:
            await self._become(message, "expired", reason=NOT_NEEDED)
            metrics.sms_messages.labels(message.purpose, "withdrawn", "none").inc()

    async def _become(self, message: Message, state: str, **fields: object) -> None:
        """The message in its new state, without what is not needed any more.

        A notice that failed keeps its phone as long as one that waits for its receipt: it may be sent again by hand.
        """
        now = self._clock.now()
        again = state in ("sent", "failed") and not CATALOGUE[message.purpose].code
        due = now + self._patience if again else None
        done: dict[str, object] = {"state": state, "sending": False, "due_at": due, **fields}
        if not again:
            done["variables_sealed"] = None
        if done["due_at"] is None:
            done["phone_sealed"] = None
        await self._messages.replace(message.following(at=now, by="notify", action=state, **done))

    async def note(self, provider: str, report: Report) -> None:
        """Take a receipt; one that is late, repeated or about nothing of ours changes nothing."""
        message = await self._about(provider, report)
        if message is None or message.provider != provider or not _open(message):
            return
        try:
            await self._settle(message, report)
        except Conflict:  # the sender is writing what the operator answered, or a worker took the same receipt
            await self.note(provider, report)

    async def _about(self, provider: str, report: Report) -> Message | None:
        known = await self._messages.with_receipt(provider, report.receipt) if report.receipt else None
        return known or (await self._messages.get(report.out_id) if is_id(report.out_id) else None)

    async def _settle(self, message: Message, report: Report) -> None:
        state = "delivered" if report.delivered else "failed"
        reason = None if report.delivered else report.code or "not_delivered"
        await self.end(message, state, reason=reason)
        if report.delivered:
            took = (self._clock.now() - message.created_at).total_seconds()
            metrics.sms_delivered_seconds.labels(message.purpose, message.provider).observe(took)

    async def look_after(self, message: Message) -> None:
        """Ask the operator for the receipt, or forget the phone when it is time. Raises `Conflict`."""
        now = self._clock.now()
        asked_since = message.attempted_at or message.created_at
        operator = self._operators.named(message.provider)
        if not _open(message) or operator is None or now >= asked_since + self._patience:
            gone = {"phone_sealed": None, "variables_sealed": None, "due_at": None}
            return await self._messages.replace(message.following(at=now, by="notify", action="forgotten", **gone))
        pause = min(max(self._poll, now - asked_since), LONGEST_PAUSE)
        asked = message.following(at=now, by="notify", action="asked", due_at=now + pause)
        await self._messages.replace(asked)
        try:
            reports = await operator.reports(self._envelopes.phone(asked), asked_since)
        except Unavailable:
            return None
        for report in reports:
            if report.out_id == asked.id or (report.receipt and report.receipt == asked.receipt):
                return await self._settle(asked, report)
        return None


def _open(message: Message) -> bool:
    """Whether a receipt may still change it: the truth about an unknown outcome is welcome at any time."""
    unknown = message.state == "failed" and message.reason == OUTCOME_UNKNOWN
    return message.state == "sent" or unknown or (message.state == "queued" and message.provider is not None)
