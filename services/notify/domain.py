"""The rules of messages that are true without I/O: their states, what an operator's answer means, when to try again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

State = Literal["queued", "sent", "delivered", "failed", "expired"]
FINAL: frozenset[State] = frozenset({"delivered", "failed", "expired"})
OUTCOME_UNKNOWN = "outcome_unknown"
NOT_NEEDED = "not_needed"

Reason = Literal["throttled", "overloaded", "bad_number", "opted_out", "configuration", "money"]
HOPELESS: frozenset[Reason] = frozenset({"bad_number", "opted_out"})  # no operator can mend it
ALARMING: frozenset[Reason] = frozenset({"configuration", "money"})  # somebody has to do something
# What the operator has against its customer at this moment; the other reasons are about one number or one template.
ILL: frozenset[Reason] = frozenset({"overloaded", "money"})

THROTTLED_SECONDS = 60  # the operators count a number's messages in minutes of the clock
DETOUR_SECONDS = 0.5  # a busy operator may take the next message already
LONGEST_PAUSE = {True: 10.0, False: 600.0}
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


def outcome_of(code: str, reasons: Mapping[str, Reason]) -> Outcome:
    """What an operator's error code means; `reasons` knows codes and families (what stands before the first dot).

    A code nobody has heard of is no proof that nothing was sent.
    """
    reason = reasons.get(code) or reasons.get(code.partition(".")[0])
    return Refused(reason, code) if reason else Unknown(code)


def elsewhere(outcome: Outcome) -> bool:
    """Whether another operator may be tried at once: certainly nothing was sent, and not because of the number."""
    return isinstance(outcome, NotSent) or (isinstance(outcome, Refused) and outcome.reason not in HOPELESS)


def ill(outcome: Outcome) -> bool:
    """Whether the outcome speaks against the operator, not against the message."""
    return isinstance(outcome, NotSent | Unknown) or (isinstance(outcome, Refused) and outcome.reason in ILL)


def pause_seconds(*, code: bool, attempts: int, outcome: Outcome, everybody: bool) -> float:
    """How long to wait after a round in which no operator took the message; `everybody`: all of them were tried."""
    if code and not everybody:
        return DETOUR_SECONDS
    if isinstance(outcome, Refused) and outcome.reason == "throttled":
        return THROTTLED_SECONDS
    return min(2.0 ** (attempts // 2), LONGEST_PAUSE[code])
