"""Messages and their rules, without I/O: what becomes of them, what an operator's answer means, when to try again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, Self

from kit.core.documents import Document
from services.notify.templates import CATALOGUE

State = Literal["queued", "sent", "delivered", "failed", "expired"]
FINAL: frozenset[State] = frozenset({"delivered", "failed", "expired"})
RESENDABLE: frozenset[State] = frozenset({"sent", "failed"})  # a notice in them keeps what it needs for it
OUTCOME_UNKNOWN = "outcome_unknown"
NOT_NEEDED = "not_needed"
TOO_LATE = "too_late"
BY = "notify"
"""Who makes the versions that no person asked for."""

Reason = Literal["throttled", "overloaded", "bad_number", "opted_out", "configuration", "money"]
NOT_RETRYABLE: frozenset[Reason] = frozenset({"bad_number", "opted_out"})  # no operator can mend it
NEEDS_ATTENTION: frozenset[Reason] = frozenset({"configuration", "money"})  # somebody has to do something
# What the operator has against its customer at this moment; the other reasons are about one number or one template.
FAULTY: frozenset[Reason] = frozenset({"overloaded", "money"})

THROTTLED_SECONDS = 60  # the operators count a number's messages in minutes of the clock
DETOUR_SECONDS = 0.5  # a busy operator may take the next message already
MAX_PAUSE = {True: 10.0, False: 600.0}
"""Seconds between two rounds: somebody waits for a code, nobody for a notice."""


@dataclass(frozen=True)
class Sms:
    """What goes to an operator: eleven digits, a purpose that names a template, the template's variables in order."""

    phone: str
    purpose: str
    variables: tuple[str, ...]
    out_id: str
    at: datetime


@dataclass(frozen=True)
class Accepted:
    """The operator took the message; `receipt` finds its delivery receipt."""

    receipt: str


@dataclass(frozen=True)
class Refused:
    """The operator said no, so nothing was sent; `code` is its own word."""

    reason: Reason
    code: str


@dataclass(frozen=True)
class NotSent:
    """The operator was not reached: certainly nothing was sent."""


@dataclass(frozen=True)
class Unknown:
    """The operator was reached and did not say: it may have been sent, so a code is not tried again by itself."""

    code: str = ""


Outcome = Accepted | Refused | NotSent | Unknown


@dataclass(frozen=True)
class Report:
    """A delivery receipt, called back or asked for; it names the message by our id, by the operator's, or by both."""

    receipt: str
    out_id: str
    delivered: bool
    code: str


@dataclass(frozen=True)
class Addressed:
    """Where a message goes to and what it carries, sealed; `phone_hint` may be seen."""

    phone_hint: str
    phone_sealed: str
    variables_sealed: str


class Message(Document):
    """A message. `sending`: an attempt began and its outcome is not written yet.

    `due_at`: when a worker has to look at it again, whatever its state; null: never.
    """

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {"phone_sealed", "variables_sealed", "due_at"}

    practitioner_id: str
    purpose: str
    about: str
    phone_hint: str
    phone_sealed: str | None = None  # gone when nothing more is to be asked about the message
    variables_sealed: str | None = None  # gone when a code was sent, when a notice arrived
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
        """A message to be sent: phone and variables are sealed for this id."""
        return cls.first(
            at=at, by=by, action="queued", id=message_id, practitioner_id=practitioner_id, purpose=purpose, about=about,
            send_before=send_before, due_at=due_at, phone_hint=addressed.phone_hint,
            phone_sealed=addressed.phone_sealed, variables_sealed=addressed.variables_sealed,
        )  # fmt: skip

    @property
    def is_code(self) -> bool:
        """Whether it carries a secret that somebody waits for; a notice does not."""
        return CATALOGUE[self.purpose].code

    @property
    def awaits_receipt(self) -> bool:
        """Whether a receipt may still change it: the truth about an unknown outcome is welcome at any time."""
        unknown = self.state == "failed" and self.reason == OUTCOME_UNKNOWN
        return self.state == "sent" or unknown or (self.state == "queued" and self.provider is not None)

    def attempted(self, provider: str, *, due_at: datetime, at: datetime) -> Self:
        """It is about to be handed to this operator; due again in case this process never learns the outcome."""
        changes = {"provider": provider, "sending": True, "attempts": self.attempts + 1, "attempted_at": at}
        return self.next_version({**changes, "due_at": due_at}, at=at, by=BY, action="attempted")

    def postponed(self, reason: str, *, due_at: datetime, at: datetime) -> Self:
        """No operator took it: it is tried again."""
        changes = {"sending": False, "due_at": due_at, "reason": reason}
        return self.next_version(changes, at=at, by=BY, action="postponed")

    def sent(self, receipt: str, *, ask_at: datetime, at: datetime) -> Self:
        """An operator took it, and is asked for the receipt at `ask_at`."""
        return self._reached("sent", None, due_at=ask_at, at=at, receipt=receipt)

    def delivered(self, *, at: datetime) -> Self:
        """It arrived."""
        return self._reached("delivered", None, due_at=None, at=at)

    def failed(self, reason: str, *, until: datetime, at: datetime) -> Self:
        """It will not arrive. A notice keeps its phone until then: it may be sent again by hand."""
        return self._reached("failed", reason, due_at=None if self.is_code else until, at=at)

    def outcome_unknown(self, *, ask_at: datetime, at: datetime) -> Self:
        """It may have been sent, so it is not tried again; the operator may know better, and is asked at `ask_at`."""
        return self._reached("failed", OUTCOME_UNKNOWN, due_at=ask_at, at=at)

    def expired(self, *, at: datetime) -> Self:
        """It is too late to send it."""
        return self._reached("expired", TOO_LATE, due_at=None, at=at)

    def withdrawn(self, *, at: datetime) -> Self:
        """Nobody needs to read it any more."""
        return self._reached("expired", NOT_NEEDED, due_at=None, at=at)

    def _reached(
        self, state: State, reason: str | None, *, due_at: datetime | None, at: datetime, receipt: str | None = None
    ) -> Self:
        """In its new state, without what is not needed any more."""
        changes: dict[str, object] = {"state": state, "sending": False, "reason": reason, "due_at": due_at}
        if receipt is not None:
            changes["receipt"] = receipt
        if state not in RESENDABLE or self.is_code:
            changes["variables_sealed"] = None
        if due_at is None:
            changes["phone_sealed"] = None
        return self.next_version(changes, at=at, by=BY, action=state)

    def queued_again(self, *, send_before: datetime, at: datetime, by: str) -> Self:
        """It is sent once more, as if no operator had been tried."""
        changes = {"state": "queued", "reason": None, "provider": None, "receipt": None}
        return self.next_version({**changes, "due_at": at, "send_before": send_before}, at=at, by=by, action="queued")

    def asked(self, *, ask_at: datetime, at: datetime) -> Self:
        """The operator is asked for the receipt now, and again at `ask_at`."""
        return self.next_version({"due_at": ask_at}, at=at, by=BY, action="asked")

    def forgotten(self, *, at: datetime) -> Self:
        """Nothing more is asked about it: phone and variables are forgotten."""
        gone = {"phone_sealed": None, "variables_sealed": None, "due_at": None}
        return self.next_version(gone, at=at, by=BY, action="forgotten")


def outcome_of(code: str, reasons: Mapping[str, Reason]) -> Outcome:
    """What an operator's error code means; `reasons` knows codes and families (what stands before the first dot).

    A code nobody has heard of is no proof that nothing was sent.
    """
    reason = reasons.get(code) or reasons.get(code.partition(".")[0])
    return Refused(reason, code) if reason else Unknown(code)


def may_try_next_carrier(outcome: Outcome) -> bool:
    """Whether another operator may be tried at once: certainly nothing was sent, and not because of the number."""
    return isinstance(outcome, NotSent) or (isinstance(outcome, Refused) and outcome.reason not in NOT_RETRYABLE)


def is_faulty(outcome: Outcome) -> bool:
    """Whether the outcome speaks against the operator, not against the message."""
    return isinstance(outcome, NotSent | Unknown) or (isinstance(outcome, Refused) and outcome.reason in FAULTY)


def pause_seconds(*, code: bool, attempts: int, outcome: Outcome, everybody: bool) -> float:
    """How long to wait after a round in which no operator took the message; `everybody`: all of them were tried."""
    if code and not everybody:
        return DETOUR_SECONDS
    if isinstance(outcome, Refused) and outcome.reason == "throttled":
        return THROTTLED_SECONDS
    return min(2.0 ** (attempts // 2), MAX_PAUSE[code])
