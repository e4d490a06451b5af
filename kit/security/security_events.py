"""Security events: one line each by the logger `security`, and a metric: what happened, to whom, from where, why.

Each is written whatever the log level is. It holds ids and names of our own only, no text that a caller chose.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import Headers
from starlette.types import Scope

from kit.core.ids import is_id
from kit.observability import log, metrics
from kit.security.bursts import GUESSES, LogLineLimit, SprayDetector
from kit.security.networks import neighbourhood

Outcome = Literal["done", "denied", "throttled", "noticed"]
CAUSES = ("no_token", "token_invalid", "token_expired", "token_forged", "session_ended", "forbidden", "foreign_object")
"""Why access is denied in every service; a service adds the codes of its own refusals."""
MARK_LENGTH, MAX_AGENT_LENGTH = 12, 400
SECRET_LINKS = frozenset({"challenge_id", "captcha_id"})
"""Path parameters that are credentials: knowing the id is enough to use it."""

logger = log.unfiltered("security")
_request: ContextVar[Scope | None] = ContextVar("request", default=None)
_collected: ContextVar["list[RecordedEvent] | None"] = ContextVar("collected", default=None)
_lines, _sprays = LogLineLimit(), SprayDetector()


@dataclass(frozen=True)
class RecordedEvent:
    """An event as it was recorded."""

    event: str
    outcome: Outcome
    cause: str
    subject: str
    facts: dict[str, str | int]


def initialise(*causes: str, event: str = "access_denied", outcome: Outcome = "denied") -> None:
    """Show an event for these causes as 0, so that an alert sees the first ones grow."""
    metrics.initialise(metrics.security_events, [event], [outcome], causes)


def arrived(scope: Scope) -> None:
    """The request whose events are recorded from now on."""
    _request.set(scope)


def identified(caller: str, session: str | None = None) -> None:
    """Name the caller, and the session of their token, in everything that is logged of this request from now on."""
    log.bind(caller=caller, **({"session": session} if session else {}))


@contextmanager
def collected() -> Iterator[list[RecordedEvent]]:
    """The events that are recorded in the block: for a process without a log of its own, to pass them on."""
    events = list[RecordedEvent]()
    token = _collected.set(events)
    try:
        yield events
    finally:
        _collected.reset(token)


def attempt(event: str, subject: str = "") -> None:
    """What this request attempts, and whom it concerns: if it is denied, that is this event."""
    if (scope := _request.get()) is not None:
        scope["attempt"] = (event, subject)


def deny(cause: str, status: int, subject: str = "") -> None:
    """Record that the request is denied, or throttled by a limit: as what it attempts, else as `access_denied`."""
    event, concerned = (_request.get() or {}).get("attempt", ("access_denied", ""))
    record(event, "throttled" if status == 429 else "denied", cause, subject or concerned, status=status)


def record(event: str, outcome: Outcome = "done", cause: str = "", subject: str = "", **facts: str | int) -> None:
    """Write one event, without facts that are empty texts. `cause` is a stable name, a label of the metric.

    Request id and caller are in the log's context.

    `subject`: whom it concerns, like `practitioner:<id>`; of somebody unknown a keyed hash of who they claim to be.
    `agent` is the beginning of the SHA-256 of User-Agent: it tells programs apart and repeats nothing of theirs.
    """
    metrics.security_events.labels(event, outcome, cause).inc()
    if (collecting := _collected.get()) is not None:
        collecting.append(RecordedEvent(event, outcome, cause, subject, facts))
    scope = _request.get()
    network = neighbourhood(_address(scope)) if scope else ""
    omitted = _lines.admit(event, cause, network) if outcome in ("denied", "throttled") else 0
    if omitted is not None:
        told = {
            name: fact for name, fact in {"subject": subject, **facts, "omitted": omitted or ""}.items() if fact != ""
        }
        logger.info(event, **{"outcome": outcome, "cause": cause, "caller": _caller(scope), **told, **_where(scope)})
    if subject and outcome == "denied" and cause in GUESSES and _sprays.noticed(network, subject):
        record("spray", "noticed", event, subjects=SprayDetector.SUBJECTS)


def _caller(scope: Scope | None) -> str:
    return log.bound("caller") or ("anonymous" if scope else "system")


def _where(scope: Scope | None) -> dict[str, object]:
    if scope is None:
        return {}
    return {
        "method": scope["method"],
        "route": getattr(scope.get("route"), "path", "-"),
        "target": {name: value for name, value in scope.get("path_params", {}).items() if _tells(name, str(value))},
        "address": _address(scope),
        "agent": hashlib.sha256(agent(scope).encode()).hexdigest()[:MARK_LENGTH],
    }


def _tells(name: str, value: str) -> bool:
    return is_id(value) and name not in SECRET_LINKS


def _address(scope: Scope) -> str:
    return scope["client"][0] if scope["client"] else "unknown"


def agent(scope: Scope) -> str:
    """What a request calls its program, in characters that a header may hold when it is passed on."""
    text = Headers(scope=scope).get("user-agent", "")[:MAX_AGENT_LENGTH]
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text)


def passed_on() -> dict[str, str]:
    """Headers for a service that is asked because of this request: its events name where the request came from."""
    scope = _request.get()
    if scope is None:
        return {}
    headers = {
        "X-Forwarded-For": _address(scope),
        "User-Agent": agent(scope),
        "X-Request-Id": log.bound("request_id"),
    }
    return {name: value for name, value in headers.items() if value}
