"""Messages and their rules, without I/O: states, what a carrier's answer means, when to retry."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Literal, Self

from kit.core.documents import Document
from services.notify.templates import CATALOGUE

State = Literal["queued", "sent", "delivered", "failed", "expired"]
FINAL: frozenset[State] = frozenset({"delivered", "failed", "expired"})
RESENDABLE: frozenset[State] = frozenset({"sent", "failed"})  # a notice keeps its phone and variables in these states
OUTCOME_UNKNOWN = "outcome_unknown"
NOT_NEEDED = "not_needed"
NO_PHONE = "no_phone"
TOO_LATE = "too_late"
BY = "notify"
"""The author of versions that the service makes on its own."""

Reason = Literal["throttled", "overloaded", "bad_number", "opted_out", "configuration", "money"]
NOT_RETRYABLE: frozenset[Reason] = frozenset({"bad_number", "opted_out"})  # other carriers would refuse it too
NEEDS_ATTENTION: frozenset[Reason] = frozenset({"configuration", "money"})  # an operator has to act
# Faults of the carrier or the account as a whole; the other reasons concern one number or one template.
FAULTY: frozenset[Reason] = frozenset({"overloaded", "money"})

THROTTLED_SECONDS = 60  # carriers count the messages to a number by clock minute
DETOUR_SECONDS = 0.5  # a carrier that was busy may be free again by then
SHORTEST_WAIT = timedelta(seconds=1)
MAX_PAUSE = {True: 10.0, False: 600.0}
"""Seconds between two rounds, by whether the message is a code: a person waits for it."""


@dataclass(frozen=True)
class Sms:
    """A message for a carrier: eleven digits, a purpose that names a template, the template's variables in order."""

    phone: str
    purpose: str
    variables: tuple[str, ...]
    out_id: str
    at: datetime


@dataclass(frozen=True)
class Accepted:
    """The carrier accepted the message; `receipt` is its id for it."""

    receipt: str


@dataclass(frozen=True)
class Refused:
    """The carrier refused the message, so nothing was sent; `code` is its error code."""

    reason: Reason
    code: str


@dataclass(frozen=True)
class NotSent:
    """The carrier was not reached, so nothing was sent."""


@dataclass(frozen=True)
class Unknown:
    """The carrier was reached, but its answer is missing or unclear: the message may have been sent."""

    code: str = ""


Outcome = Accepted | Refused | NotSent | Unknown


@dataclass(frozen=True)
class Report:
    """A delivery receipt, pushed or polled; it has our id of the message (`out_id`), the carrier's, or both."""

    receipt: str
    out_id: str
    delivered: bool
    code: str


@dataclass(frozen=True)
class Addressed:
    """The encrypted phone and variables of a message; `phone_hint` is the masked phone."""

    phone_hint: str
    phone_sealed: str | None
    variables_sealed: str | None


UNKNOWN = Addressed("", None, None)
"""The person's phone is not known yet: their certificate's event was not consumed, or they have no certificate."""


class Message(Document):
    """A message. `sending`: an attempt was started and its outcome is not stored yet.

    `due_at`: when a worker processes it next, in any state; null: never.
    """

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {"phone_sealed", "variables_sealed", "due_at"}

    practitioner_id: str
    purpose: str
    about: str
    phone_hint: str  # empty while the phone is not known
    phone_sealed: str | None = None  # null while not known, and once no receipt is expected and it is not sent again
    variables_sealed: str | None = None  # null while the phone is, and once a code was sent or a notice was delivered
    send_before: datetime
    due_at: datetime | None = None
    state: State = "queued"
    sending: bool = False
    attempted_at: datetime | None = None
    provider: str | None = None
    receipt: str | None = None
    reason: str | None = None
    attempts: int = 0

    @classmethod
    def queued(
        cls, message_id: str, practitioner_id: str, purpose: str, about: str, addressed: Addressed, *,
        send_before: datetime, due_at: datetime, at: datetime, by: str,
    ) -> Self:  # fmt: skip
        """A message to be sent: phone and variables are encrypted for this id, or `UNKNOWN`."""
        return cls.first(
            at=at, by=by, action="queued", id=message_id, practitioner_id=practitioner_id, purpose=purpose, about=about,
            send_before=send_before, due_at=due_at, **asdict(addressed),
        )  # fmt: skip

    def unaddressed(self, *, at: datetime) -> Self:
        """The phone is still not known: it is due again after as long as it has waited already."""
        due_at = min(at + max(at - self.created_at, SHORTEST_WAIT), self.send_before)
        return self.next_version({"due_at": due_at, "reason": NO_PHONE}, at=at, by=BY, action="postponed")

    def addressed(self, addressed: Addressed, *, at: datetime) -> Self:
        """The phone is known now."""
        return self.next_version({**asdict(addressed), "reason": None}, at=at, by=BY, action="addressed")

    @property
    def is_code(self) -> bool:
        """Whether it carries a code that a person waits for; otherwise it is a notice."""
        return CATALOGUE[self.purpose].code

    @property
    def awaits_receipt(self) -> bool:
        """Whether a receipt may still change it, also after it failed with an unknown outcome."""
        unknown = self.state == "failed" and self.reason == OUTCOME_UNKNOWN
        return self.state == "sent" or unknown or (self.state == "queued" and self.provider is not None)

    def attempted(self, provider: str, *, due_at: datetime, at: datetime) -> Self:
        """It is about to be sent through this carrier; due again in case the process crashes before the outcome."""
        changes = {"provider": provider, "sending": True, "attempts": self.attempts + 1, "attempted_at": at}
        return self.next_version({**changes, "due_at": due_at}, at=at, by=BY, action="attempted")

    def postponed(self, reason: str, *, due_at: datetime, at: datetime) -> Self:
        """No carrier accepted it: it is tried again at `due_at`."""
        changes = {"sending": False, "due_at": due_at, "reason": reason}
        return self.next_version(changes, at=at, by=BY, action="postponed")

    def sent(self, receipt: str, *, ask_at: datetime, at: datetime) -> Self:
        """A carrier accepted it; its receipt is polled at `ask_at`."""
        return self._reached("sent", None, due_at=ask_at, at=at, receipt=receipt)

    def delivered(self, *, at: datetime) -> Self:
        """The receipt confirms its delivery."""
        return self._reached("delivered", None, due_at=None, at=at)

    def failed(self, reason: str, *, until: datetime, at: datetime) -> Self:
        """It was not delivered. A notice that has its phone keeps it until `until`: an operator may send it again."""
        resendable = not self.is_code and self.phone_sealed is not None
        return self._reached("failed", reason, due_at=until if resendable else None, at=at)

    def outcome_unknown(self, *, ask_at: datetime, at: datetime) -> Self:
        """It may have been sent, so it is not tried again; its receipt is polled at `ask_at`."""
        return self._reached("failed", OUTCOME_UNKNOWN, due_at=ask_at, at=at)

    def expired(self, *, at: datetime) -> Self:
        """It is too late to send it."""
        return self._reached("expired", TOO_LATE, due_at=None, at=at)

    def withdrawn(self, reason: str, *, at: datetime) -> Self:
        """It is no longer needed, or has nobody to go to."""
        return self._reached("expired", reason, due_at=None, at=at)

    def _reached(
        self, state: State, reason: str | None, *, due_at: datetime | None, at: datetime, receipt: str | None = None
    ) -> Self:
        """The version in its new state, without the encrypted fields that it no longer needs."""
        changes: dict[str, object] = {"state": state, "sending": False, "reason": reason, "due_at": due_at}
        if receipt is not None:
            changes["receipt"] = receipt
        if state not in RESENDABLE or self.is_code:
            changes["variables_sealed"] = None
        if due_at is None:
            changes["phone_sealed"] = None
        return self.next_version(changes, at=at, by=BY, action=state)

    def queued_again(self, *, send_before: datetime, at: datetime, by: str) -> Self:
        """It is sent again; carrier and receipt are reset."""
        changes = {"state": "queued", "reason": None, "provider": None, "receipt": None}
        return self.next_version({**changes, "due_at": at, "send_before": send_before}, at=at, by=by, action="queued")

    def asked(self, *, ask_at: datetime, at: datetime) -> Self:
        """Its receipt is polled now, and again at `ask_at`."""
        return self.next_version({"due_at": ask_at}, at=at, by=BY, action="asked")

    def forgotten(self, *, at: datetime) -> Self:
        """Its receipt is no longer polled: phone and variables are removed."""
        removed = {"phone_sealed": None, "variables_sealed": None, "due_at": None}
        return self.next_version(removed, at=at, by=BY, action="forgotten")


def outcome_of(code: str, reasons: Mapping[str, Reason]) -> Outcome:
    """What a carrier's error code means; `reasons` has codes and families of codes (the part before the first dot).

    An unlisted code is `Unknown`: it does not prove that nothing was sent.
    """
    reason = reasons.get(code) or reasons.get(code.partition(".")[0])
    return Refused(reason, code) if reason else Unknown(code)


def may_try_next_carrier(outcome: Outcome) -> bool:
    """Whether another carrier may be tried at once: nothing was sent, and the reason is not the number."""
    return isinstance(outcome, NotSent) or (isinstance(outcome, Refused) and outcome.reason not in NOT_RETRYABLE)


def is_faulty(outcome: Outcome) -> bool:
    """Whether the outcome is a fault of the carrier, not of the message."""
    return isinstance(outcome, NotSent | Unknown) or (isinstance(outcome, Refused) and outcome.reason in FAULTY)


def pause_seconds(*, code: bool, attempts: int, outcome: Outcome, all_tried: bool) -> float:
    """Seconds to wait after a round in which no carrier accepted the message; `all_tried`: every carrier was tried."""
    if code and not all_tried:
        return DETOUR_SECONDS
    if isinstance(outcome, Refused) and outcome.reason == "throttled":
        return THROTTLED_SECONDS
    return min(2.0 ** (attempts // 2), MAX_PAUSE[code])
