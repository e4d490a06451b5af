"""Security events: one line each by the logger `security`, and a metric: what happened, to whom, from where, why.

Each is written whatever the log level is. It holds ids and names of our own only, no text that a caller chose.
"""

import hashlib
from contextvars import ContextVar
from typing import Literal

import structlog
from starlette.datastructures import Headers
from starlette.types import Scope

from kit import log, metrics
from kit.ids import is_id

Event = Literal["access_denied", "account_changed", "people_looked_up"]
Outcome = Literal["denied", "done"]
CAUSES = ("no_token", "token_invalid", "token_expired", "token_forged", "session_ended", "forbidden", "foreign_object")
"""Why access is denied in every service; a service adds the codes of its own refusals."""
MARK_LENGTH, MOST_AGENT = 12, 400

logger = log.unfiltered("security")
_request: ContextVar[Scope | None] = ContextVar("request", default=None)


def begin(*causes: str, event: Event = "access_denied") -> None:
    """Show an event for these causes as 0, so that an alert sees the first ones grow."""
    metrics.begin(metrics.security_events, [event], causes)


def arrived(scope: Scope) -> None:
    """The request whose events are recorded from now on."""
    _request.set(scope)


def identified(caller: str, session: str | None = None) -> None:
    """Name the caller, and the session of their token, in everything that is logged of this request from now on."""
    structlog.contextvars.bind_contextvars(caller=caller, **({"session": session} if session else {}))


def record(event: Event, outcome: Outcome, cause: str, **facts: str | int) -> None:
    """Write one event. `cause` is a stable name, a label of the metric; request id and caller are in the log's context.

    `agent` is the beginning of the SHA-256 of User-Agent: it tells programs apart and repeats nothing of theirs.
    """
    metrics.security_events.labels(event, cause).inc()
    who = {"caller": structlog.contextvars.get_contextvars().get("caller", "anonymous")}
    logger.info(event, outcome=outcome, cause=cause, **who, **facts, **_where(_request.get()))


def _where(scope: Scope | None) -> dict[str, object]:
    if scope is None:
        return {}
    return {
        "method": scope["method"],
        "route": getattr(scope.get("route"), "path", "-"),
        "target": {name: value for name, value in scope.get("path_params", {}).items() if is_id(str(value))},
        "address": _address(scope),
        "agent": hashlib.sha256(agent(scope).encode()).hexdigest()[:MARK_LENGTH],
    }


def _address(scope: Scope) -> str:
    return scope["client"][0] if scope["client"] else "unknown"


def agent(scope: Scope) -> str:
    """What a request calls its program, in characters that a header may hold when it is passed on."""
    text = Headers(scope=scope).get("user-agent", "")[:MOST_AGENT]
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text)


def passed_on() -> dict[str, str]:
    """Headers for a service that is asked because of this request: its events name where the request came from."""
    scope = _request.get()
    if scope is None:
        return {}
    headers = {
        "X-Forwarded-For": _address(scope),
        "User-Agent": agent(scope),
        "X-Request-Id": str(structlog.contextvars.get_contextvars().get("request_id", "")),
    }
    return {name: value for name, value in headers.items() if value}
