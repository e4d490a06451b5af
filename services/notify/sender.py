"""Sends messages through the carriers: new ones at once, postponed ones when they are due, in any worker."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from kit.core.clock import Clock
from kit.core.errors import Unavailable
from kit.mongo import Conflict, Projection
from kit.observability import log, tracing
from kit.runtime.periodic import every
from services.notify import metrics
from services.notify.domain import (
    NO_PHONE,
    NOT_RETRYABLE,
    Accepted,
    Message,
    NotSent,
    Outcome,
    Refused,
    Unknown,
    may_try_next_carrier,
    pause_seconds,
)
from services.notify.encryption import MessageCipher
from services.notify.providers.carriers import Carrier, Carriers
from services.notify.receipts import Receipts
from services.notify.settings import SendingSettings
from services.notify.store import Messages

QUEUE_SIZE = 1_000  # messages enqueued and not started; when the queue is full, the consumer waits
DUE_BATCH = 500
SHUTDOWN_SECONDS = 5.0  # for messages in progress to get their outcome when the process ends

logger = log.get(__name__)


class Sender:
    """Processes enqueued and due messages; a guarded write decides which worker processes one."""

    def __init__(
        self,
        messages: Messages,
        contacts: Projection,
        carriers: Carriers,
        receipts: Receipts,
        cipher: MessageCipher,
        settings: SendingSettings,
        clock: Clock,
    ) -> None:
        self._messages = messages
        self._contacts = contacts
        self._carriers = carriers
        self._receipts = receipts
        self._cipher = cipher
        self._settings = settings
        self._clock = clock
        self._queue: asyncio.Queue[Message] = asyncio.Queue(QUEUE_SIZE)
        self._slots = asyncio.Semaphore(settings.at_once)
        self._tasks: set[asyncio.Task[None]] = set()
        self.enqueue = self._queue.put

    async def run(self) -> None:
        """Send messages until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send_new())
                group.create_task(every(self._settings.sweep_seconds, self._send_due, "messages that are due"))
        finally:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=SHUTDOWN_SECONDS)

    async def check_overdue(self) -> None:
        """A readiness check. Raises `RuntimeError` if a message is due for longer than `overdue_seconds`."""
        since = self._clock.now() - timedelta(seconds=self._settings.overdue_seconds)
        if late := await self._messages.due(since, 1):
            raise RuntimeError(f"message {late[0]} has been due for more than {self._settings.overdue_seconds:.0f} s")

    async def _send_new(self) -> None:
        while True:
            await self._start(await self._queue.get())

    async def _send_due(self) -> None:
        for identity in await self._messages.due(self._clock.now(), DUE_BATCH):
            message = await self._messages.get(identity)
            if message and message.due_at and message.due_at <= self._clock.now():
                await self._start(message)

    async def _start(self, message: Message) -> None:
        await self._slots.acquire()
        task = asyncio.create_task(self._process(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _process(self, message: Message) -> None:
        try:
            await self.handle(message)
        except Unavailable as error:  # it stays due
            logger.warning("message delayed", message_id=message.id, unavailable=error.what)
        except Exception:
            logger.exception("message failed", message_id=message.id)
        finally:
            self._slots.release()

    async def handle(self, message: Message) -> None:
        """Send the message, poll its receipt or end it; does nothing if another worker was faster."""
        with tracing.span(f"message {message.state}", message.traceparent), suppress(Conflict):
            if message.state != "queued":
                await self._receipts.poll(message)
            elif message.phone_sealed is None:
                await self._address(message)
            elif message.send_before <= self._clock.now():
                await self._receipts.end(message.expired(at=self._clock.now()))
            elif message.sending and message.is_code:  # its worker crashed: it may have been sent
                await self._end_unknown(message)
            else:
                await self._try_carriers(message)

    async def _address(self, message: Message) -> None:
        """Send a notice to the phone that is bound now; postpone it if none is known yet, end it if none is bound."""
        contact, now = await self._contacts.get(message.practitioner_id), self._clock.now()
        if contact and contact["phone_sealed"]:
            phone = self._cipher.decrypt_contact(str(contact["phone_sealed"]), message.practitioner_id)
            addressed = message.addressed(self._cipher.addressed(message.id, phone, []), at=now)
            await self._messages.replace(addressed)
            await self.handle(addressed)
        elif contact or message.send_before <= now:
            await self._receipts.withdraw(message, NO_PHONE)
        else:
            await self._messages.replace(message.unaddressed(at=now))

    async def _try_carriers(self, message: Message) -> None:
        """Try one carrier after the other, until one accepted the message or may have sent it."""
        tried: set[str] = set()
        outcome: Outcome = NotSent()
        while carrier := self._carriers.choose(tried):
            tried.add(carrier.name)
            message = await self._attempted(message, carrier)
            outcome = await carrier.send(self._cipher.sms(message))
            if not may_try_next_carrier(outcome):
                break
        if isinstance(outcome, Accepted):
            await self._accepted(message, outcome)
        elif isinstance(outcome, Refused) and outcome.reason in NOT_RETRYABLE:
            now = self._clock.now()
            await self._receipts.end(message.failed(outcome.code, until=self._receipts.phone_kept_until(now), at=now))
        else:
            await self._unsent(message, outcome, tried)

    async def _attempted(self, message: Message, carrier: Carrier) -> Message:
        """Store an attempt before it is made; the lease is longer than any attempt takes."""
        now = self._clock.now()
        lease = timedelta(seconds=self._settings.lease_seconds)
        attempted = message.attempted(carrier.name, due_at=now + lease, at=now)
        await self._messages.replace(attempted)
        return attempted

    async def _accepted(self, message: Message, outcome: Accepted) -> None:
        now = self._clock.now()
        metrics.sms_seconds.labels(message.purpose, message.provider).observe(
            (now - message.created_at).total_seconds()
        )
        await self._receipts.end(message.sent(outcome.receipt, ask_at=self._receipts.first_poll(now), at=now))

    async def _unsent(self, message: Message, outcome: Outcome, tried: set[str]) -> None:
        """Postpone a message that no carrier accepted; a code that may have been sent is not sent again."""
        if isinstance(outcome, Unknown) and message.is_code:
            await self._end_unknown(message)
        elif tried:  # without an attempt there is nothing to store: the message stays due
            all_tried = self._carriers.all_tried(tried)
            pause = pause_seconds(code=message.is_code, attempts=message.attempts, outcome=outcome, all_tried=all_tried)
            now = self._clock.now()
            due = min(now + timedelta(seconds=pause), message.send_before)
            reason = outcome.code if isinstance(outcome, Refused | Unknown) else "not_reached"
            await self._messages.replace(message.postponed(reason, due_at=due, at=now))

    async def _end_unknown(self, message: Message) -> None:
        """End it as failed; its receipt is polled all the same, because it may have been sent."""
        now = self._clock.now()
        await self._receipts.end(message.outcome_unknown(ask_at=self._receipts.first_poll(now), at=now))
