"""The way of a message to an operator: tried at once, then again when it is due, by whichever worker lives."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from kit.core.clock import Clock
from kit.core.errors import Unavailable
from kit.mongo import Conflict
from kit.observability import log, tracing
from kit.runtime.periodic import every
from services.notify import metrics
from services.notify.domain import (
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
from services.notify.envelopes import MessageCipher
from services.notify.providers.operators import Carrier, Carriers
from services.notify.receipts import Receipts
from services.notify.settings import SendingSettings
from services.notify.store import Messages

WAITING = 1_000  # messages handed over and not begun; behind them the consumer waits
DUE_AT_ONCE = 500
SHUTDOWN_SECONDS = 5.0  # what is under way when the process ends may still learn its outcome

logger = log.get(__name__)


class Sender:
    """Takes messages that were handed over, and those that are due; a guarded write says whose turn it is."""

    def __init__(
        self,
        messages: Messages,
        operators: Carriers,
        receipts: Receipts,
        envelopes: MessageCipher,
        settings: SendingSettings,
        clock: Clock,
    ) -> None:
        self._messages, self._operators, self._receipts, self._envelopes = messages, operators, receipts, envelopes
        self._settings, self._clock = settings, clock
        self._handed_over: asyncio.Queue[Message] = asyncio.Queue(WAITING)
        self._room = asyncio.Semaphore(settings.at_once)
        self._under_way: set[asyncio.Task[None]] = set()
        self.hand_over = self._handed_over.put

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._take_fresh())
                group.create_task(every(self._settings.sweep_seconds, self._take_due, "messages that are due"))
        finally:
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=SHUTDOWN_SECONDS)

    async def keeps_up(self) -> None:
        """A readiness check: nothing has been due for longer than a worker that lives would leave it."""
        since = self._clock.now() - timedelta(seconds=self._settings.overdue_seconds)
        if late := await self._messages.due(since, 1):
            raise RuntimeError(f"message {late[0]} has been due for more than {self._settings.overdue_seconds:.0f} s")

    async def _take_fresh(self) -> None:
        while True:
            await self._begin(await self._handed_over.get())

    async def _take_due(self) -> None:
        for identity in await self._messages.due(self._clock.now(), DUE_AT_ONCE):
            message = await self._messages.get(identity)
            if message and message.due_at and message.due_at <= self._clock.now():
                await self._begin(message)

    async def _begin(self, message: Message) -> None:
        await self._room.acquire()
        task = asyncio.create_task(self._work(message))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _work(self, message: Message) -> None:
        try:
            await self.handle(message)
        except Unavailable as error:  # it stays due
            logger.warning("message delayed", message_id=message.id, unavailable=error.what)
        except Exception:
            logger.exception("message failed", message_id=message.id)
        finally:
            self._room.release()

    async def handle(self, message: Message) -> None:
        """Do what the message is due for; nothing when somebody else was quicker."""
        with tracing.span(f"message {message.state}", message.traceparent), suppress(Conflict):
            if message.state != "queued":
                await self._receipts.look_after(message)
            elif message.send_before <= self._clock.now():
                await self._receipts.end(message.expired(at=self._clock.now()))
            elif message.sending and message.is_code:  # its sender died: it may have been sent
                await self._end_unknown(message)
            else:
                await self._round(message)

    async def _round(self, message: Message) -> None:
        """Try one operator after the other, until one took it, or may have."""
        tried: set[str] = set()
        outcome: Outcome = NotSent()
        while operator := self._operators.choose(tried):
            tried.add(operator.name)
            message = await self._attempted(message, operator)
            outcome = await operator.send(self._envelopes.sms(message))
            if not may_try_next_carrier(outcome):
                break
        if isinstance(outcome, Accepted):
            await self._accepted(message, outcome)
        elif isinstance(outcome, Refused) and outcome.reason in NOT_RETRYABLE:
            now = self._clock.now()
            await self._receipts.end(message.failed(outcome.code, until=self._receipts.last_look(now), at=now))
        else:
            await self._unsent(message, outcome, tried)

    async def _attempted(self, message: Message, operator: Carrier) -> Message:
        """An attempt is written down before it is made; the lease lasts longer than it can."""
        now = self._clock.now()
        lease = timedelta(seconds=self._settings.lease_seconds)
        begun = message.attempted(operator.name, due_at=now + lease, at=now)
        await self._messages.replace(begun)
        return begun

    async def _accepted(self, message: Message, outcome: Accepted) -> None:
        now = self._clock.now()
        metrics.sms_seconds.labels(message.purpose, message.provider).observe(
            (now - message.created_at).total_seconds()
        )
        await self._receipts.end(message.sent(outcome.receipt, ask_at=self._receipts.first_look(now), at=now))

    async def _unsent(self, message: Message, outcome: Outcome, tried: set[str]) -> None:
        """Nobody took it: later again, unless it is a code that somebody may have sent."""
        if isinstance(outcome, Unknown) and message.is_code:
            await self._end_unknown(message)
        elif tried:  # where nobody could be tried there is nothing to write down
            everybody = self._operators.all_of(tried)
            pause = pause_seconds(code=message.is_code, attempts=message.attempts, outcome=outcome, everybody=everybody)
            now = self._clock.now()
            due = min(now + timedelta(seconds=pause), message.send_before)
            reason = outcome.code if isinstance(outcome, Refused | Unknown) else "not_reached"
            await self._messages.replace(message.postponed(reason, due_at=due, at=now))

    async def _end_unknown(self, message: Message) -> None:
        """The operator may know better: it is asked as if the message had been sent."""
        now = self._clock.now()
        await self._receipts.end(message.outcome_unknown(ask_at=self._receipts.first_look(now), at=now))
