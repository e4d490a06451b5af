"""Ended sessions, known to every process at once: their access tokens are refused before they run out.

identity appends each ended session to a Redis stream, which every process reads from its oldest entry, so a
new process knows the sessions that ended before it started. Entries are kept longer than any access token is valid. A
request costs one dictionary lookup. Without Redis an access token stays valid until it expires.
"""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta

from kit.core.clock import Clock
from kit.observability import metrics
from kit.redis import RedisServer
from kit.security.tokens import Ended

TOKEN_SECONDS = 300
"""No access token is valid for longer."""
KEPT_SECONDS = 2 * TOKEN_SECONDS
UNKNOWN_REASON = "登录已失效，请重新登录"
"""The sentence for a reason that this process does not know yet: a newer release may add reasons."""


class EndedSessions:
    """Publishes ended sessions to all processes and keeps those that were published; `sentences` by reason."""

    def __init__(self, redis: RedisServer, stream: str, sentences: Mapping[str, str], clock: Clock) -> None:
        self._name, self._stream = stream, redis.stream(stream, KEPT_SECONDS)
        self._sentences, self._clock = sentences, clock
        self._known: OrderedDict[str, tuple[Ended, datetime]] = OrderedDict()

    def get(self, session: str) -> Ended | None:
        """Why this session ended; None while it is not known to have ended."""
        known = self._known.get(session)
        return known[0] if known else None

    async def publish(self, session: str, reason: str) -> None:
        """Publish that a session ended. Raises `Unavailable`; this process refuses its tokens even then."""
        self._remember(session, reason)
        await self._stream.append({"session": session, "reason": reason})

    async def follow(self) -> None:
        """Read the stream until cancelled; every process that checks tokens runs this.

        Raises `Unavailable` when Redis is unavailable.
        """
        # made here: a process that only publishes has no such metric, and raises no alert
        following = metrics.ended_sessions_reader_up.labels(self._name)
        following.set(0)
        try:
            async for entries in self._stream.batches():
                following.set(1)
                for entry in entries:
                    self._remember(entry["session"], entry["reason"])
                self._forget()
        finally:
            following.set(0)

    def _remember(self, session: str, reason: str) -> None:
        ended = Ended(reason, self._sentences.get(reason, UNKNOWN_REASON))
        self._known[session] = (ended, self._clock.now() + timedelta(seconds=KEPT_SECONDS))
        self._known.move_to_end(session)

    def _forget(self) -> None:
        """Remove sessions whose tokens have expired; the oldest come first."""
        now = self._clock.now()
        while self._known and next(iter(self._known.values()))[1] < now:
            self._known.popitem(last=False)
