"""What can be done with messages; the only place that decides and writes."""

from contracts.identity import CODE_CONTEXT, CodeMessage, CodeRequested
from kit import log, metrics
from kit.auth import Caller
from kit.clock import Clock
from kit.errors import NotFound, Reject, Unavailable
from kit.ids import derived_id
from kit.mongo import Cursor, Duplicate
from kit.seal import CannotOpen, Sealer
from services.notify.domain import FINAL, Accepted, NotSent, Outcome, Refused, Sms
from services.notify.providers import Provider
from services.notify.store import Message, Messages

logger = log.get(__name__)


class NotifyService:
    """Sends each requested message once."""

    def __init__(self, messages: Messages, bus: Sealer, rest: Sealer, provider: Provider, clock: Clock) -> None:
        self._messages, self._bus, self._rest, self._provider, self._clock = messages, bus, rest, provider, clock

    async def code_requested(self, event: CodeRequested) -> None:
        """Send the code; handled twice it is sent once. Raises `Unavailable` (operator not reached), `Reject`.

        A message is named by its request, and an attempt is written down before it is made.
        """
        identity = derived_id("code", event.challenge_id, str(event.version))
        message = await self._messages.get(identity) or await self._queue(identity, event)
        if message.state == "queued":
            await self._attempt(message)

    async def _queue(self, identity: str, event: CodeRequested) -> Message:
        code = self._read(event)
        message = Message.first(
            at=self._clock.now(),
            by="identity",
            action="queued",
            id=identity,
            practitioner_id=event.practitioner_id,
            purpose=event.purpose,
            about=event.challenge_id,
            phone_hint=f"{code.phone[:3]}****{code.phone[-4:]}",
            sealed=self._rest.seal(code.model_dump_json(), f"message:{identity}"),
            send_before=event.send_before,
        )
        try:
            await self._messages.insert(message)
        except Duplicate as error:  # another worker reads the same event: it has the message now
            raise Unavailable("the message's other reader") from error
        return message

    def _read(self, event: CodeRequested) -> CodeMessage:
        try:
            return CodeMessage.model_validate_json(
                self._bus.open(event.message, f"{CODE_CONTEXT}:{event.challenge_id}")
            )
        except CannotOpen as error:
            raise Reject("the sealed message does not open") from error

    async def _attempt(self, message: Message) -> None:
        if message.sending:  # an attempt before a crash: it may have been sent, a code is not sent again by itself
            await self._end(message, "failed", reason="outcome_unknown")
        elif message.send_before <= self._clock.now():
            await self._end(message, "expired", reason="too_late")
        else:
            await self._send(message)

    async def _send(self, message: Message) -> None:
        fields = {"sending": True, "attempts": message.attempts + 1, "provider": self._provider.name}
        begun = message.following(at=self._clock.now(), by="notify", action="attempted", **fields)
        await self._messages.replace(begun)
        outcome = await self._provider.send(self._sms(begun))
        if isinstance(outcome, NotSent):
            waiting = begun.following(at=self._clock.now(), by="notify", action="not_reached", sending=False)
            await self._messages.replace(waiting)
            raise Unavailable(self._provider.name)
        await self._conclude(begun, outcome)

    def _sms(self, message: Message) -> Sms:
        sealed = self._rest.open(message.sealed or "", f"message:{message.id}")
        code = CodeMessage.model_validate_json(sealed)
        return Sms(code.phone, message.purpose, (code.code,), message.id)

    async def _conclude(self, message: Message, outcome: Outcome) -> None:
        if isinstance(outcome, Accepted):
            metrics.sms_seconds.labels(message.purpose).observe(
                (self._clock.now() - message.created_at).total_seconds()
            )
            await self._end(message, "sent", receipt=outcome.receipt)
        else:
            reason = outcome.code if isinstance(outcome, Refused) else "outcome_unknown"
            await self._end(message, "failed", reason=reason)

    async def _end(self, message: Message, state: str, **fields: object) -> None:
        metrics.sms_messages.labels(message.purpose, state, message.provider or "none").inc()
        if state in FINAL:
            logger.warning("message not sent", message_id=message.id, state=state, reason=fields.get("reason"))
        done = {"state": state, "sending": False, "sealed": None, **fields}
        await self._messages.replace(message.following(at=self._clock.now(), by="notify", action=state, **done))

    async def page(
        self, caller: Caller, state: str | None, purpose: str | None, after: Cursor | None, limit: int
    ) -> tuple[list[Message], Cursor | None]:
        """A page of messages for operators, newest first, and where the next one begins."""
        caller.require(role="operator")
        return await self._messages.page(state, purpose, after, limit)

    async def get(self, caller: Caller, message_id: str) -> Message:
        """One message for operators. Raises `NotFound`."""
        caller.require(role="operator")
        message = await self._messages.get(message_id)
        if message is None:
            raise NotFound
        return message
