"""The rules of messages that are true without I/O: their states, and what an operator's answer means."""

from dataclasses import dataclass
from typing import Literal

State = Literal["queued", "sent", "delivered", "failed", "expired"]
FINAL: frozenset[State] = frozenset({"delivered", "failed", "expired"})


@dataclass(frozen=True)
class Sms:
    """What goes to an operator: eleven digits, a purpose that names a template, the template's variables in order."""

    phone: str
    purpose: str
    variables: tuple[str, ...]
    out_id: str


@dataclass(frozen=True)
class Accepted:
    """The operator took the message; `receipt` finds its delivery receipt."""

    receipt: str


@dataclass(frozen=True)
class Refused:
    """The operator said no, for good; `code` is its own word."""

    code: str


@dataclass(frozen=True)
class NotSent:
    """The operator was not reached: certainly nothing was sent, so it can be tried again."""


@dataclass(frozen=True)
class Unknown:
    """The operator was reached and did not say: it may have been sent, so a code is not tried again by itself."""


Outcome = Accepted | Refused | NotSent | Unknown
