"""Security events: a log line of the logger `security` and a metric: what happened, to whom, from where, why.

Written at every log level. They hold only ids and names of this system, no text that a caller chose. The names of the
events are the product's (`contracts.security_events`).
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
    """Set the request whose events are recorded from now on."""
    _request.set(scope)


def identified(caller: str, session: str | None = None) -> None:
    """Name the caller, and the session of their token, in everything that is logged of this request from now on."""
    log.bind(caller=caller, **({"session": session} if session else {}))


@contextmanager
def collected() -> Iterator[list[RecordedEvent]]:
    """The events recorded in the block, for a process without its own log to pass on."""
    events = list[RecordedEvent]()
    token = _collected.set(events)
    try:
        yield events
    finally:
        _collected.reset(token)


def attempt(event: str, subject: str = "") -> None:
    """Set what this request attempts and whom it concerns: a denial is recorded as this event."""
    if (scope := _request.get()) is not None:
        scope["attempt"] = (event, subject)


def deny(cause: str, status: int, subject: str = "") -> None:
    """Record that the request is denied, or throttled by a limit: as its attempt, otherwise as `access_denied`."""
    event, concerned = (_request.get() or {}).get("attempt", ("access_denied", ""))
    record(event, "throttled" if status == 429 else "denied", cause, subject or concerned, status=status)


def record(event: str, outcome: Outcome = "done", cause: str = "", subject: str = "", **facts: str | int) -> None:
    """Write one event; facts that are empty are omitted. `cause` is a stable name and a label of the metric.

    Request id and caller are in the log's context.

    `subject`: whom it concerns, like `practitioner:<id>`; for an unknown person a keyed hash of the claimed identity.
    `agent` is the beginning of the SHA-256 of User-Agent: it distinguishes clients without repeating their text.
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
    """The request's User-Agent, in characters that a forwarded header may hold."""
    text = Headers(scope=scope).get("user-agent", "")[:MAX_AGENT_LENGTH]
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text)


def passed_on() -> dict[str, str]:
    """Headers for a call to another service, so that its events name the origin of this request."""
    scope = _request.get()
    if scope is None:
        return {}
    headers = {
        "X-Forwarded-For": _address(scope),
        "User-Agent": agent(scope),
        "X-Request-Id": log.bound("request_id"),
    }
    return {name: value for name, value in headers.items() if value}
